"""What a good bundle is: its blobs, the graph between them, the signatures of its images."""
