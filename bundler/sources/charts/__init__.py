"""Charts: repositories, dependencies, provenance, packing from source."""
