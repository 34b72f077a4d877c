"""A site's first trust in a root, and recovery when its records were lost."""
