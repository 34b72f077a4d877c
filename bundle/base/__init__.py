"""Values and errors that need nothing else: digests, references, paths, limits, OCI, documents."""
