"""Packages of operating systems, and the keys that their repositories are trusted by."""
