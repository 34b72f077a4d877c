"""The online side's commands, one file each."""
