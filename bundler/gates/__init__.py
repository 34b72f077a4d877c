"""What a release must pass before it is sealed, one file a gate."""
