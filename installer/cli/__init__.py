"""The offline side's commands, one per file."""
