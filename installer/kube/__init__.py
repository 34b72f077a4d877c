"""The cluster as a client sees it: kubectl, its API, kubeconfig, zone objects."""
