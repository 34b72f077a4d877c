"""Where content comes from, one file a kind of content."""
