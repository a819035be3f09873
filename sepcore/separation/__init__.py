"""From a waveform to its stems, whole and streamed, and to their files."""
