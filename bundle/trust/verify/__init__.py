"""Verification of a bundle from a trusted root to a VerifiedBundle."""
