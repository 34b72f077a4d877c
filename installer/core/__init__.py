"""What every step of an installation gets, and the folders that it may use."""
