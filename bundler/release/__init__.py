"""Releases of a bundle: build record, review, approval, publishing, revocation."""
