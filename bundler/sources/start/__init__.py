"""What a bare machine starts with: the wheel of Isoward and what install.sh needs."""
