"""Images: from registries, archives, daemons and folders; signatures and referrers."""
