"""Pure values: bytes in, values out; no file, no network, no clock."""
