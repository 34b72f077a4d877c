"""Statements about a bundle (in-toto, DSSE): envelopes and their checks."""
