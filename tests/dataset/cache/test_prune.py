import pytest

from sepcore.dataset.cache.index import build_index
from sepcore.dataset.cache.prune import prune
from sepcore.dataset.cache.shards import find_shards
from sepcore.dataset.cache.sidecar import sidecar_path
from tests.dataset.cache.conftest import shard_of


@pytest.fixture
def shards(each_format, write_song, tmp_path):
    return [shard_of(write_song(name), each_format, tmp_path / "cache", num_chunks=1) for name in ("a", "b")]


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_shards_that_are_not_needed_go_with_what_belongs_to_them(shards, tmp_path):
    kept, gone = shards
    num_bytes = gone.num_bytes + sidecar_path(gone.path).stat().st_size
    assert prune(tmp_path / "cache", {kept.fingerprint}, dry_run=False) == (2, num_bytes)
    assert find_shards(tmp_path / "cache") == {kept.fingerprint: kept}
    assert names(tmp_path / "cache") == {kept.path.name, sidecar_path(kept.path).name}


def test_a_dry_run_counts_and_removes_nothing(shards, tmp_path):
    before = names(tmp_path / "cache")
    assert prune(tmp_path / "cache", set(), dry_run=True)[0] == 4
    assert names(tmp_path / "cache") == before


def test_a_shard_without_the_file_beside_it_goes_too(shards, tmp_path):
    sidecar_path(shards[0].path).unlink()
    assert prune(tmp_path / "cache", {shards[1].fingerprint}, dry_run=False)[0] == 1


def test_other_files_folders_and_links_stay(each_format, shards, tmp_path):
    folder = tmp_path / "cache"
    build_index(folder, [("a", shards[0])], each_format)
    (folder / "notes.json").write_text("{}")
    (folder / "song-0123456789ABCDEF.tfrecord").write_text("capitals")
    (folder / "takes-0123456789abcdef.json").mkdir()
    (folder / "link-0123456789abcdef.tfrecord").symlink_to(shards[0].path)
    before = names(folder)
    assert prune(folder, {shard.fingerprint for shard in shards}, dry_run=False) == (0, 0)
    assert names(folder) == before


def test_indexes_go_with_a_shard_that_they_list_and_strangers_files_stay(each_format, shards, tmp_path):
    folder = tmp_path / "cache"
    gone, kept = (build_index(folder, [(name, shard)], each_format) for name, shard in zip("ab", shards, strict=True))
    strangers = [kept.with_name(f"{'0' * 16}.parquet"), kept.with_name("notes.parquet")]
    for file in strangers:
        file.write_bytes(gone.read_bytes())
    prune(folder, {shards[1].fingerprint}, dry_run=True)
    assert names(kept.parent) == {path.name for path in (gone, kept, *strangers)}
    prune(folder, {shards[1].fingerprint}, dry_run=False)
    assert names(kept.parent) == {path.name for path in (kept, *strangers)}


def test_a_folder_that_is_not_there_has_nothing_to_prune(tmp_path):
    assert prune(tmp_path / "none", set(), dry_run=False) == (0, 0)
