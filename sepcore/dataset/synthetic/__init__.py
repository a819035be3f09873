"""Made-up multitrack songs, for the quickstart and the tests."""

from sepcore.dataset.synthetic.dataset import generate_song, write_dataset

__all__ = ["generate_song", "write_dataset"]
