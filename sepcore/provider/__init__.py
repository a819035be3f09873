"""From the name of a model to a local folder that holds its weights."""
