"""museval's scores of a model, or of another program's stems, on MUSDB18's test songs or on the songs of a CSV."""
