"""The online side: resolve, fetch, seal, approve."""
