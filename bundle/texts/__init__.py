"""Texts that travel on a medium: README.txt, VERIFY.txt and install.sh."""
