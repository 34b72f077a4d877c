"""What only a builder reads: definitions, and charts as Helm reads them."""
