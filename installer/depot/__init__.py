"""The content-addressed store inside the gap, and what serves it."""
