"""Preparing hosts: facts, names, package sources, the site's CA."""
