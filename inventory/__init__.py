"""Templates that turn a site into an Ansible inventory, and sample sites."""
