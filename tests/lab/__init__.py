"""Lab nodes: real machines without a hypervisor and without a network to anywhere."""
