"""Trust metadata (TUF): strict parsing, the root, the chain of a release, restrictions."""
