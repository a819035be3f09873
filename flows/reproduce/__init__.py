"""Train a released model, or that of a run, again from its recorded config, and put both scores side by side."""
