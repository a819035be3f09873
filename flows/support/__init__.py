"""What commands and flows share: the command line, Prefect, progress, where songs are worked on."""
