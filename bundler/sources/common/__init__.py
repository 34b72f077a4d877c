"""What all sources share: context, downloads, manifests, stores, archive members."""
