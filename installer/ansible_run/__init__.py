"""Running Ansible: environment, events, logs, and what a failure means."""
