"""Our own YAML documents: parsed strictly, every problem reported in plain words by line."""
