"""Programs for those who work on Isoward."""
