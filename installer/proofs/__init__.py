"""Proofs that a new cluster keeps what the site document promises."""
