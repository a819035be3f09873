"""What is wrong with the songs of a manifest, before hours of work start."""
