"""The site document: structure, checks, secrets, loading, and the questions that draft one."""
