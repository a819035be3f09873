import pytest

from sepcore.dataset.cache.repair import remove_damaged_shards
from sepcore.dataset.cache.shards import find_shards
from tests.dataset.cache.conftest import shard_of


@pytest.fixture
def shards(each_format, write_song, tmp_path):
    return [shard_of(write_song(name), each_format, tmp_path / "cache", num_chunks=2) for name in ("a", "b")]


def test_sound_shards_stay(shards, tmp_path):
    assert list(remove_damaged_shards(tmp_path / "cache")) == []
    assert len(find_shards(tmp_path / "cache")) == 2


@pytest.mark.parametrize("place", [0.0, 0.3, 0.7])
def test_a_flipped_byte_anywhere_is_found_and_its_shard_removed(shards, tmp_path, place):
    path = shards[0].path
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    (line,) = remove_damaged_shards(tmp_path / "cache")
    assert line.startswith(f"{path}: chunk(s) {0 if place < 0.5 else 1} damaged")
    assert set(find_shards(tmp_path / "cache")) == {shards[1].fingerprint}
    assert not path.exists()


def test_a_folder_that_is_not_there_has_none(tmp_path):
    assert list(remove_damaged_shards(tmp_path / "missing")) == []
