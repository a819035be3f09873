"""The report of an evaluation: one web page to read, with box plots and the songs to hear."""
