"""HTTP: an OCI distribution client and digest-checking streams."""
