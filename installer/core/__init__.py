"""What every step of an installation is given, and the folders that it may use."""
