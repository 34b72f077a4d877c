"""The trust root: ceremonies, requests to holders, drafts and their explanation."""
