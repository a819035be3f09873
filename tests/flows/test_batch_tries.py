"""What a watched folder remembers of a song that could not be separated."""

import errno
import os

import numpy as np
import pytest
import soundfile

from flows.separate_batch.batch import Batch, try_new
from sepcore import Separator
from sepcore.batch.plan import find_songs, plan_batch
from sepcore.batch.song import failed
from sepcore.errors import AudioDecodeError
from sepcore.separation.stem_files.names import DEFAULT_FORMAT
from sepcore.separation.stem_files.options import StemFileOptions
from tests.models import TINY, write_model


@pytest.fixture(scope="module")
def separator(tmp_path_factory):
    return Separator(write_model(tmp_path_factory.mktemp("small"), model=TINY))


@pytest.mark.parametrize(
    ("reason", "num_tries"),
    [
        (AudioDecodeError("is empty", path="a.wav"), 1),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), 1),
        (OSError(errno.EIO, os.strerror(errno.EIO)), 2),
        (OSError(errno.ESTALE, os.strerror(errno.ESTALE)), 2),
    ],
)
def test_only_what_is_the_files_own_fault_keeps_it_from_another_try(separator, tmp_path, reason, num_tries):
    path, out, options = tmp_path / "a.wav", tmp_path / "out", StemFileOptions()
    soundfile.write(path, np.zeros((800, 2)), 8000)
    songs = plan_batch(find_songs([path], out=out), out, separator.instruments, options, filename_format=DEFAULT_FORMAT)
    tried = []

    def separate(new):
        tried.extend(new)
        return {song.path: failed(song.path, reason) for song in new}

    for _ in range(2):
        try_new(Batch(out, songs, options, separator), songs, separate)
    assert len(tried) == num_tries
