"""First trust of a site in a root, and recovery when it was lost."""
