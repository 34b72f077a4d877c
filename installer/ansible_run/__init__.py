"""Running Ansible: environment, events, logs, what failed and what it means."""
