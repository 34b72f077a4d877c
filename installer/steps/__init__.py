"""The steps of an installation, one per file."""
