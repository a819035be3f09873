import csv
from pathlib import Path

import pytest

from sepcore.dataset.ingest.manifests import left_out_file, write_manifests
from sepcore.dataset.ingest.targets import LeftOut
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError
from tests.dataset.ingest.conftest import TWO_STEMS

ROW = TrackRow("A", Path("/a/mixture.wav"), (("vocals", Path("/a/v.wav")), ("accompaniment", Path("/a/a.wav"))), 1.5)
BAD = LeftOut("B, C", "has no vocals (it has drums)", "Name the recordings so.")


def test_a_split_without_songs_gets_a_manifest_without_rows_and_a_warning(tmp_path, caplog):
    manifests = write_manifests({"train": [ROW]}, [], tmp_path, TWO_STEMS)
    assert manifests == {split: tmp_path / f"{split}.csv" for split in ("train", "validation", "test")}
    header = "mix_path,vocals_path,accompaniment_path,duration\n"
    assert manifests["train"].read_text() == header + "/a/mixture.wav,/a/v.wav,/a/a.wav,1.500000\n"
    assert manifests["test"].read_text() == header
    assert "validation.csv: the set has no validation songs" in caplog.text


def test_songs_that_were_left_out_are_listed_until_they_are_mended(tmp_path):
    write_manifests({"train": [ROW]}, [BAD], tmp_path, TWO_STEMS)
    with left_out_file(tmp_path).open(newline="") as file:
        assert list(csv.reader(file)) == [["song", "reason", "cure"], [BAD.song, BAD.reason, BAD.cure]]
    write_manifests({"train": [ROW]}, [], tmp_path, TWO_STEMS)
    assert not left_out_file(tmp_path).exists()


def test_without_any_song_nothing_is_written(tmp_path):
    with pytest.raises(DatasetError, match=r"B, C has no vocals \(it has drums\)\. Name the recordings so\."):
        write_manifests({"train": [], "test": []}, [BAD], tmp_path / "out", TWO_STEMS)
    assert not (tmp_path / "out").exists()
