"""Formats that users already have: read into a definition, written from a lock."""
