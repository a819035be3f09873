"""The whole job once on a small made-up dataset: dataset, ingest, cache, train, evaluate, publish, separate."""
