"""The demo: the whole journey of a bundle, narrated, on this machine. Not shipped."""
