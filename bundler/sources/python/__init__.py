"""Python packages: wheels of an index, chosen for the sites' machines by pinned requirements."""
