"""What both sides of the gap know of registries: demands for a login, and docker's logins."""
