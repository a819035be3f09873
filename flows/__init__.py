"""One flow a file; ``python -m flows.<name>`` is its command line."""
