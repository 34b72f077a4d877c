"""From a definition to a lock: resolve, compare, explain."""
