"""Spleeter's networks, a registry for others, and Spleeter's checkpoints."""
