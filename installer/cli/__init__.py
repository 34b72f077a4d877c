"""The offline side's commands, one file each."""
