"""The stems of one song as files: their names, their formats, and the way from the song's file to them."""
