"""The Update Framework around bundle.json; the only maker of a VerifiedBundle."""
