"""Kubespray: its checkout, and what it would fetch for this platform."""
