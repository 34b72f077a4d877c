"""Packages from rpm repositories, chosen by dnf itself."""
