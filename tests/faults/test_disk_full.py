"""A disk without room, or that cannot be written to: a small file system is mounted where a command writes."""

import os
import shutil

import pytest

from tests.faults.workplace import CACHE, INGEST, Job, said, thoroughly

pytestmark = pytest.mark.slow

CHECK = Job(("flows.check", "train.csv", "-p", "config.json"))


def room(path):
    """Bytes that a file takes on the small disk, whose pages are the memory's."""
    page = os.sysconf("SC_PAGE_SIZE")
    return -(-path.stat().st_size // page) * page


def assert_failed_in_one_line(result, *expected):
    assert result.returncode in {1, 2}, result.stderr
    lines = said(result.stderr)
    assert len(lines) == 1, result.stderr
    assert not [words for words in expected if words not in lines[0]], lines


@pytest.mark.parametrize("share", thoroughly("half", "none", "all but the index"))
def test_on_a_full_disk_a_cache_ends_in_one_line_and_with_more_room_as_if_nothing_had_been(
    share, workplace, uninterrupted, small_disk, remount
):
    files = uninterrupted(CACHE).workplace.files(CACHE).items()
    shards = sum(room(path) for name, path in files if name.startswith("training_cache") and "index" not in name)
    folder = workplace.folder / "training_cache"
    small_disk(folder, {"none": 4096, "half": shards // 2, "all but the index": shards + 4096}[share])
    result = workplace.run(CACHE)
    assert_failed_in_one_line(result, "training_cache", "No space left on device")
    assert workplace.leftovers() == []

    remount(folder, f"size={4 * shards}")
    workplace.finish(CACHE)
    assert workplace.contents(CACHE) == uninterrupted(CACHE).contents
    assert workplace.leftovers() == []


def test_on_a_full_disk_an_ingest_ends_in_one_line_and_with_more_room_as_if_nothing_had_been(
    workplace, uninterrupted, small_disk, remount
):
    size = sum(room(path) for path in uninterrupted(INGEST).workplace.files(INGEST).values())
    small_disk(workplace.folder / "ingested", size // 2)
    result = workplace.run(INGEST)
    assert_failed_in_one_line(result, "ingested", "No space left on device")
    assert workplace.leftovers() == []

    remount(workplace.folder / "ingested", f"size={4 * size}")
    workplace.finish(INGEST)
    assert workplace.contents(INGEST) == uninterrupted(INGEST).contents
    assert workplace.leftovers() == []


def test_on_a_full_disk_a_check_ends_in_one_line_and_leaves_no_report(make_workplace, tmp_path, small_disk, remount):
    small_disk(tmp_path / "work", "50%")
    workplace = make_workplace(tmp_path / "work")
    size = sum(room(path) for path in workplace.folder.rglob("*") if path.is_file())
    remount(workplace.folder, f"size={size + 64 * 1024}")
    (workplace.folder / "filler").write_bytes(bytes(os.statvfs(workplace.folder).f_bavail * os.sysconf("SC_PAGE_SIZE")))
    result = workplace.run(CHECK)
    assert_failed_in_one_line(result, "No space left on device")
    assert workplace.leftovers() == []
    assert not (workplace.folder / "train.check.parquet").exists()

    (workplace.folder / "filler").unlink()
    workplace.finish(CHECK)
    assert workplace.leftovers() == []


@pytest.mark.parametrize("of_the_version_before", thoroughly(True, False))
def test_a_whole_cache_on_a_read_only_disk_is_taken_as_it_is(of_the_version_before, workplace, small_disk, remount):
    folder = workplace.folder / "training_cache"
    small_disk(folder, 200 << 20)
    workplace.finish(CACHE)
    if of_the_version_before:  # which knew neither these nor keys
        shutil.rmtree(folder / "indexes")
        workplace.run_python(WITHOUT_KEY)
    remount(folder, "ro")
    result = workplace.run(CACHE)
    assert (result.returncode, said(result.stderr)) == (0, [])


WITHOUT_KEY = """
import json, pyarrow.parquet as pq
path = "training_cache/index.parquet"
file = pq.ParquetFile(path)
summary = json.loads(file.metadata.metadata[b"stemworks"])
del summary["key"]
table = file.read().replace_schema_metadata(None)
with pq.ParquetWriter(path, table.schema) as writer:
    writer.write_table(table)
    writer.add_key_value_metadata({"stemworks": json.dumps(summary)})
"""


def test_a_cache_folder_that_cannot_be_written_to_is_one_line(workplace, small_disk, remount):
    small_disk(workplace.folder / "training_cache", 1 << 20)
    remount(workplace.folder / "training_cache", "ro")
    assert_failed_in_one_line(workplace.run(CACHE), "training_cache", "Read-only file system")
