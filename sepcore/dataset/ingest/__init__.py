"""From the files of a multitrack set to manifests."""
