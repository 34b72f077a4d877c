"""Our own YAML documents: read strictly, every problem found, said in words and by line."""
