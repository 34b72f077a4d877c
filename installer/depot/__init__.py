"""The content-addressed store inside the gap: import, catalog, checks, marks of damage."""
