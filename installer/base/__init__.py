"""Values that need nothing else of the installer: networks, redaction, paths for SSH."""
