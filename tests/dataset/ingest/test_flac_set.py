"""A set of flac folders with a piano, as one that users bring."""

import numpy as np
import pytest

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.songs import list_folder_songs
from tests.dataset.ingest.conftest import FIVE_STEMS, FOUR_STEMS, TWO_STEMS, ingest, read

pytestmark = pytest.mark.shared


@pytest.fixture
def songs(shared):
    """Two training songs, one of validation and one of test."""
    found = list_folder_songs(shared / "data" / "synthmus" / "flac5")
    train = [song for song in found if song.subset == "train"]
    return [*train[:2], *(song for song in found if song.subset != "train")][:4]


def test_five_stems_are_used_where_they_lie_in_the_sets_own_split(songs, tmp_path):
    rows = ingest(songs, tmp_path, FIVE_STEMS)
    assert {split: len(listed) for split, listed in rows.items()} == {"train": 2, "validation": 0, "test": 2}
    assert {path.suffix for listed in rows.values() for row in listed for path in row.files} == {".flac"}
    assert not (tmp_path / "audio").exists()


@pytest.mark.parametrize(
    "config",
    [FOUR_STEMS.model_copy(update={"instrument_mapping": {"other": ("other", "piano")}}), TWO_STEMS],
    ids=["piano in other", "two stems"],
)
def test_stems_that_are_sums_add_up_to_the_mixture(songs, tmp_path, config: ModelConfig):
    (row, *_) = ingest(songs, tmp_path, config)["train"]
    assert [path.suffix for path in row.files] == [".flac"] * len(config.instruments) + [".wav"]
    np.testing.assert_allclose(sum(read(path) for _, path in row.stems), read(row.mixture), atol=1e-6)
