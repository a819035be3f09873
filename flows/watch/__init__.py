"""Watch a folder and separate what is new in it, round after round until Ctrl-C."""
