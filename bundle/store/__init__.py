"""Disk: the OCI image layout, atomic writes, safe paths."""
