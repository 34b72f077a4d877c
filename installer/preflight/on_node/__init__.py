"""What runs on a node to find facts: no library, any Python from 3.9 on, no changes."""
