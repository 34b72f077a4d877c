"""The cluster as a client sees it: kubectl, API, kubeconfig, zone objects."""
