"""Models of others: PyTorch checkpoints of SCNet, read without PyTorch, and ours written for it."""
