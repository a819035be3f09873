"""What every room needs of the operating system: atomic writes, locks, retries, addresses, printable text."""
