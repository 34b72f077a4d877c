"""The HTTP client for registries and publishers: hosts, logins, limits of time and size."""
