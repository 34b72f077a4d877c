"""The depot as a server: registry, files, packages, health, workers."""
