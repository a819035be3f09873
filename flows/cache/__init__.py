"""The CSVs that a config names to shards of cached spectrograms or waveforms."""
