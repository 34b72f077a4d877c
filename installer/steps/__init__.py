"""What an installation does, one file a step."""
