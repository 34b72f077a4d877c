"""Preparing hosts: what each one is, names, package sources, the site's CA."""
