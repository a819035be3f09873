"""Separate folders and files of audio or video into stems, into separated/ unless -o says otherwise."""
