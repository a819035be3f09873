"""What takes scores for those of before: never where anything that they depend on has changed."""

import errno
import os

import numpy as np
import pytest

from sepcore.config.separation import SeparationKeys
from sepcore.errors import DatasetError
from sepcore.evaluation.estimates import FolderEstimates, IdealRatioMask, ModelEstimates, UntouchedMixture
from sepcore.evaluation.file_fingerprint import file_fingerprint
from sepcore.evaluation.track_evaluation import estimated_track, track_made_from
from sepcore.separation.separator import Separator
from sepcore.separation.settings import SeparatorSettings
from sepcore.signal.audio_writer import write_audio
from tests.evaluation.songs import RATE, write_song
from tests.models import small_config
from tests.raised import raises

STEMS = ("vocals", "accompaniment")
OTHER = {
    "instruments": ("instrument_list", ["accompaniment", "vocals"]),
    "sample_rate": ("sample_rate", 16000),
    "frame_length": ("frame_length", 1024),
    "hop_length": ("frame_step", 64),
    "segment_frames": ("T", 128),
    "num_bins": ("F", 128),
    "num_channels": ("n_channels", 1),
    "separation_exponent": ("separation_exponent", 1.0),
    "mask_extension": ("mask_extension", "average"),
    "mwf": ("MWF", True),
}


OTHER_OF_COMPLEX = {
    "stft_window": "rectangular",
    "stft_normalized": True,
    "stft_padding": "centered",
    "mixture_consistency": True,
}


def test_every_key_of_a_separation_is_tried_below():
    assert set(OTHER) | set(OTHER_OF_COMPLEX) == set(SeparationKeys.model_fields) - {"mix_name", "model", "model_dir"}


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """A song, and a folder with another program's estimates of it."""
    folder = tmp_path_factory.mktemp("song")
    row = write_song(folder, "a song", stems=STEMS)
    for name in STEMS:
        noise = np.random.default_rng(len(name)).uniform(-0.4, 0.4, (3 * RATE, 2)).astype(np.float32)
        write_audio(folder / "theirs" / row.name / f"{name}.wav", noise, sample_rate=RATE, bits=32)
    return row, folder


def made(kind, song, config):
    """What takes scores for those of before, and what is scored."""
    row, folder = song
    estimates = FolderEstimates(folder / "theirs", config) if kind is FolderEstimates else kind(config)
    try:
        with estimated_track(row, estimates, folder) as track:
            read = [np.asarray(signals.read(0, signals.shape[1])) for signals in (track.references, track.estimates)]
    except DatasetError as error:
        read = [np.array(str(error))]
    return track_made_from(row, estimates), read


@pytest.mark.parametrize("kind", [UntouchedMixture, IdealRatioMask, FolderEstimates])
@pytest.mark.parametrize("field", OTHER)
def test_a_key_that_changes_what_is_scored_changes_the_fingerprint(kind, field, song):
    key, value = OTHER[field]
    (before, signals), (after, others) = (
        made(kind, song, small_config(chunk_duration=4, **keys)) for keys in ({}, {key: value})
    )
    alike = len(signals) == len(others) and all(map(np.array_equal, signals, others))
    assert alike or before["model"] != after["model"]


def complex_config(**keys):
    return small_config(model={"type": "scnet.scnet"}, F=257, loss_type="L1_complex", chunk_duration=4, **keys)


@pytest.mark.parametrize("key", OTHER_OF_COMPLEX)
def test_so_does_every_key_of_a_complex_network(key, tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("model.index", "model.data-00000-of-00001"):
        (tmp_path / "model" / name).write_bytes(b"weights")
    prints = set()
    for keys in ({}, {key: OTHER_OF_COMPLEX[key]}):
        (tmp_path / "config.json").write_text(complex_config(**keys).to_json())
        prints.add(Separator.of(SeparatorSettings(str(tmp_path))).fingerprint())
    assert len(prints) == 2


@pytest.mark.parametrize("field", OTHER)
def test_every_key_of_a_separation_changes_a_models_fingerprint(field, song, tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("model.index", "model.data-00000-of-00001"):
        (tmp_path / "model" / name).write_bytes(b"weights")
    key, value = OTHER[field]
    made_from = []
    for keys in ({}, {key: value}):
        (tmp_path / "config.json").write_text(small_config(chunk_duration=4, **keys).to_json())
        estimates = ModelEstimates(Separator.of(SeparatorSettings(str(tmp_path))))
        made_from.append(track_made_from(song[0], estimates)["model"])
    assert made_from[0] != made_from[1]


def test_the_song_itself_is_the_same_in_whatever_order_its_stems_are_named(song):
    row, _ = song
    turned = type(row)(row.name, row.mixture, row.stems[::-1], row.duration_s)
    first, second = (track_made_from(one, UntouchedMixture(small_config())) for one in (row, turned))
    assert first["audio"] == second["audio"]


def test_a_file_that_cannot_be_opened_is_named_with_the_reason(tmp_path):
    with raises(DatasetError, os.strerror(errno.ENOENT), path=tmp_path / "gone.wav", hint="row") as refused:
        file_fingerprint([tmp_path / "gone.wav"])
    assert refused.value.errno == errno.ENOENT
