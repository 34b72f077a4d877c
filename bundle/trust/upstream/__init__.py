"""Signatures that upstream made: bytes in, a verdict out; one file a form."""
