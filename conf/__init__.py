"""One JSON per model; a package only so that the files are installed beside the code."""
