"""Self-contained web pages: what a browser shows from one file, without a server and without the network."""
