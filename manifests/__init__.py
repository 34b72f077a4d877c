"""Schemas, samples and platform content; a package so that an installed wheel has them."""
