"""Separate folders and files of audio or video into stems."""
