"""Fuzzing every parser of bytes from outside; not shipped."""
