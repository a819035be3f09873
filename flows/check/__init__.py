"""Check the songs of manifests before hours of work start: what cannot be used, why, and how to mend it."""
