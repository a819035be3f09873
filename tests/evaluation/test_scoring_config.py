import numpy as np
import pytest

from sepcore.errors import DatasetError
from sepcore.evaluation.scoring_config import estimated_stems, scoring_config
from sepcore.signal.audio_writer import write_audio
from tests.raised import raises

OFFERED = ["vocals", "drums", "bass", "other", "accompaniment"]


def make(folder, **tracks):
    for track, stems in tracks.items():
        (folder / track).mkdir(parents=True)
        for stem in stems:
            (folder / track / f"{stem}.wav").touch()
    return folder


def test_the_stems_are_those_of_any_track_in_the_test_sets_order(tmp_path):
    folder = make(tmp_path, test=[]) / "test"
    make(folder, first=["drums", "piano"], second=["vocals", "drums"])
    assert estimated_stems(tmp_path, OFFERED) == ["vocals", "drums"]


def test_the_accompaniment_is_left_out_beside_its_parts_only(tmp_path):
    assert estimated_stems(make(tmp_path / "a", song=["vocals", "accompaniment"]), OFFERED)[-1] == "accompaniment"
    assert estimated_stems(make(tmp_path / "b", song=OFFERED), OFFERED) == OFFERED[:-1]


@pytest.mark.parametrize(
    ("tracks", "hint"),
    [({}, "test/<track>/<stem>.wav"), ({"song": ["piano"]}, "vocals.wav, drums.wav, bass.wav, other.wav")],
)
def test_a_folder_without_estimates_is_refused_with_the_files_that_it_needs(tmp_path, tracks, hint):
    with raises(DatasetError, path=tmp_path, hint=hint):
        estimated_stems(make(tmp_path, **tracks), OFFERED)


def test_a_missing_folder_of_estimates_is_refused(tmp_path):
    with raises(DatasetError, "no such folder", path=tmp_path / "theirs", hint="test/<track>/<stem>.wav"):
        estimated_stems(tmp_path / "theirs", OFFERED)


def test_the_config_is_at_the_recordings_own_rate_and_channels(tmp_path):
    write_audio(tmp_path / "mono.wav", np.full((100, 1), 0.1, np.float32), sample_rate=22050)
    config = scoring_config(["voice"], tmp_path / "mono.wav", "song")
    assert (config.sample_rate, config.num_channels, config.instruments, config.mix_name) == (
        22050, 1, ("voice",), "song",
    )  # fmt: skip
