"""Signing keys: schemes, storage, hardware, strength, terms of validity."""
