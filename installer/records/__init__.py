"""Records of an installation: journal, receipt, report, expected durations."""
