"""The kinds of content that a bundle carries, and the rules of each."""
