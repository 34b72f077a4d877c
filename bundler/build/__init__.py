"""From a lock to a bundle: fetch, cache, place, assemble."""
