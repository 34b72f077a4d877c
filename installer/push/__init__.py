"""Pushing what was verified into a registry that the site has."""
