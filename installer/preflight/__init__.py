"""Questions asked of hosts over SSH before anything is changed."""
