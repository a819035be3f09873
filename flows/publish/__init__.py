"""Finished runs to a versioned release: <releases>/<version>/<model>.tar.gz with its checksum, and to GitHub."""
