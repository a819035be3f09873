"""From the songs of a manifest to shards of cached spectrograms or waveforms."""
