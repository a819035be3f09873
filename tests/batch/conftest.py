"""A small model that is loaded once, and songs and plans for it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from sepcore import Separator
from sepcore.batch.plan import find_songs, plan_batch
from sepcore.separation.stem_files.names import DEFAULT_FORMAT
from sepcore.separation.stem_files.options import StemFileOptions
from tests.models import TINY, write_model

STEMS = ("vocals", "accompaniment")


@pytest.fixture(scope="session")
def separator(tmp_path_factory):
    """Two stems at 8 kHz."""
    return Separator(write_model(tmp_path_factory.mktemp("small"), model=TINY))


@pytest.fixture
def write_song(tmp_path):
    """``write_song("a.wav")`` writes a song into the folder songs; the same seed is the same song."""

    def write(name="a.wav", *, seconds=1.5, seed=0, sample_rate=8000, channels=2):
        path = tmp_path / "songs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (round(seconds * sample_rate), channels)
        soundfile.write(path, np.random.default_rng(seed).uniform(-0.3, 0.3, shape), sample_rate)
        return path

    return write


@pytest.fixture
def plan(tmp_path):
    """``plan(path, …)`` plans what is at these paths into the folder out."""

    def planned(*paths, out=None, instruments=STEMS, filename_format=DEFAULT_FORMAT, **options):
        out = out or tmp_path / "out"
        songs = find_songs([Path(path) for path in paths], out=out)
        return plan_batch(songs, out, instruments, StemFileOptions(**options), filename_format=filename_format)

    return planned


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
