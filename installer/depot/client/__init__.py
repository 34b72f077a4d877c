"""Running the depot as a service, and asking it as a node would."""
