"""Commands about the commands: completion, docs, man pages, schemas."""
