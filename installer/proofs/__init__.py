"""Proofs that an installation holds what the site document promises."""
