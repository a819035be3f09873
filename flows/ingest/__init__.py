"""MUSDB18, a set in its layout, or any folder of multitrack songs to train.csv, validation.csv and test.csv."""
