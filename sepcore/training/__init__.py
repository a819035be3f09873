"""Losses, optimizers, the training loop and its checkpoints."""
