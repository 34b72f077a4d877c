"""Packages from apt repositories, chosen by apt itself."""
