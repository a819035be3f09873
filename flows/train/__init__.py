"""Train a model with all stages: ingest (if asked), cache, train, evaluate, publish."""
