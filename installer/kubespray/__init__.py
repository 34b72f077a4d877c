"""Kubespray at a site: its tree, environment and inventory, from the bundle."""
