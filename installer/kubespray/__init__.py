"""Kubespray at a site: its tree, environment and inventory out of the bundle."""
