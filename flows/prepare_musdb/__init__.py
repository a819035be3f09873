"""MUSDB18, or a set in its layout, all the way to shards that training reads: ingest, check, cache."""
