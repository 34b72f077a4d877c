"""Files by address, beside the definition and out of Git."""
