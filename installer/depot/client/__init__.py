"""Setting the depot up as a service, and asking it as a node would."""
