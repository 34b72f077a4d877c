"""What a good bundle is: its files, its blobs, the graph between them, the images' signatures."""
