"""What both sides know of registries: docker's logins, and demands for a login."""
