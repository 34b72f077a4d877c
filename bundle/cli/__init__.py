"""The root command, its output and its exit codes."""
