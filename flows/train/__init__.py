"""The whole way of a model: ingest (if asked), cache, train, evaluate, publish."""
