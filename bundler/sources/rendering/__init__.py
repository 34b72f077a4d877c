"""Charts rendered by Helm, apart from the network, and searched for images."""
