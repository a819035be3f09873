import json

import pytest

from sepcore.errors import TrainingError
from sepcore.training.metrics_log import MetricsRecord, append_record, cut_records, read_records
from tests.raised import raises


def record(kind, step, value=1.0):
    return MetricsRecord(kind, step, 1.5e9 + step, {f"{kind}_loss": value})


def written(path, *records):
    for each in records:
        append_record(path, each)
    return path


def test_records_come_back_in_their_order_with_every_digit(tmp_path):
    records = [record("train", 5, 0.1 + 0.2), record("system", 5), record("validation", 5, float("inf"))]
    assert read_records(written(tmp_path / "log", *records)) == records


def test_without_a_file_there_are_no_records(tmp_path):
    assert read_records(tmp_path / "log") == []


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path):
    path = written(tmp_path / "log", record("train", 1), record("train", 2))
    for end in range(1, len(json.dumps({"kind": "train"}))):
        whole = path.read_bytes()
        path.write_bytes(whole[:-end])
        assert read_records(path) == [record("train", 1)]
        path.write_bytes(whole)


def test_going_on_from_a_checkpoint_drops_what_came_after_it(tmp_path):
    before = [record("train", 1), record("train", 2), record("validation", 2)]
    path = written(tmp_path / "log", *before, record("train", 3), record("system", 3))
    cut_records(path, step=2, validated=True)
    assert read_records(path) == before


def test_a_validation_that_was_not_whole_is_dropped_too(tmp_path):
    path = written(tmp_path / "log", record("validation", 1), record("train", 2), record("validation", 2))
    cut_records(path, step=2, validated=False)
    assert read_records(path) == [record("validation", 1), record("train", 2)]


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"null",
        b"[1, 2]",
        b"\x00\x00",
        b"\xff\xfe",
        b'{"kind": "train"}',
        b'{"kind": "train", "step": "x", "time": 1.0, "metrics": {}}',
        b'{"kind": "train", "step": 1, "time": 1.0, "metrics": {"loss": "low"}}',
    ],
)
def test_a_damaged_line_before_the_last_is_named(tmp_path, damaged):
    path = written(tmp_path / "log", record("train", 1), record("train", 2))
    first, second = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, damaged, second, b""]))
    with raises(TrainingError, "line 2", path=path, hint="Delete"):
        read_records(path)
    with raises(TrainingError, "line 2", path=path):
        cut_records(path, step=1, validated=True)
    assert path.read_bytes() == b"\n".join([first, damaged, second, b""])
