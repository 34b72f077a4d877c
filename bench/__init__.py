"""Speed, as a ratio against a peer or against the limit, measured in one run."""
