"""What both sides of the gap must agree on: the bundle itself."""
