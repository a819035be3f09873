import json

import pytest

from sepcore.config.load import load_config
from sepcore.errors import ReleaseError, StemworksError
from sepcore.evaluation.scores import ScoreSummary
from sepcore.provider.archive import pack_archive
from sepcore.provider.checksum import parse_checksums
from sepcore.provider.store import ModelOrigin
from sepcore.release.gate import release_before
from sepcore.release.training_record import ReleasableRun, TrainingRecord
from sepcore.system.foreign import ForeignTextError, is_name, parse_json
from tests.raised import raises

HOSTILE = {
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "below the parser's own bound": b"[" * 200 + b"]" * 200,
    "a long number": b'{"T": ' + b"1" * 5_000 + b"}",
    "a long number among others": b'{"training": {"steps": -' + b"9" * 5_000 + b"}}",
    "NaN": b'{"learning_rate": NaN}',
    "infinity": b'{"learning_rate": -Infinity}',
    "more than a float": b'{"learning_rate": 1e999}',
    "a key twice": b'{"T": 512, "T": 64}',
    "many keys, one twice": b"{" + b",".join(b'"%d": 1' % i for i in range(50_000)) + b', "49999": 1}',
    "not UTF-8": b'{"mix_name": "\xff\xfe"}',
    "UTF-16": '{"mix_name": "mix"}'.encode("utf-16"),
    "half a character": rb'{"mix_name": "\ud800"}',
    "a new line": rb'{"mix_name": "mix\n2stems: all is well"}',
    "a terminal's escape": rb'{"\u001b[2J": 1}',
    "huge": b'{"mix_name": "' + b"x" * 2_000_000 + b'"}',
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "a text": b'"config"',
    "nothing": b"",
    "zeros": bytes(1000),
    "many unknown keys": json.dumps({f"{i}{'x' * 100}": 1 for i in range(5_000)}).encode(),
    "many stems": json.dumps({"instrument_list": [f"s{i}" for i in range(50_000)]}).encode(),
    "a huge segment": b'{"T": 1099511627776}',
    "a huge window": b'{"frame_length": 1099511627776, "frame_step": 274877906944}',
    "a huge layer": b'{"model": {"params": {"conv_n_filters": [16, 32, 64, 128, 256, 99999999]}}}',
    "a stem that is a path": b'{"instrument_list": ["vocals", "../evil"]}',
    "a stem of dots": b'{"instrument_list": ["vocals", "..."]}',
    "a stem without end": json.dumps({"instrument_list": ["vocals", "x" * 300]}).encode(),
}


def read_as_config(path, content):
    path.write_bytes(content)
    load_config(path)


def read_as_config_of_a_tarball(path, content):
    pack_archive({"config.json": content}, path.with_name("x.tar.gz"))
    load_config(path.with_name("x.tar.gz"))


def read_as_checksums(path, content):
    parse_checksums(content, path)


def read_as_run(path, content):
    folder = path.with_name("run")
    (folder / "model").mkdir(parents=True)
    for name in ("model/model.index", "model/model.data-00000-of-00001"):
        (folder / name).touch()
    (folder / "config.json").write_text(load_config("2stems").to_json())
    (folder / "done.json").write_bytes(content)
    ReleasableRun.load(folder)


def read_as_metrics(path, content):
    pack_archive({"config.json": b"{}", "metrics.json": content}, path.with_name("x.tar.gz"))
    TrainingRecord.of_release(path.with_name("x.tar.gz"))


def read_as_scores(path, content):
    ScoreSummary.from_json(content.decode("utf-8", "surrogateescape"), str(path))


READERS = [
    read_as_config,
    read_as_config_of_a_tarball,
    read_as_checksums,
    read_as_run,
    read_as_metrics,
    read_as_scores,
]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_whatever_stands_where_json_is_expected_is_a_short_complaint_at_once(tmp_path, read, content):
    with pytest.raises(StemworksError) as error:
        read(tmp_path / "it.json", content)
    lines = str(error.value).splitlines()
    assert len(lines) == 1 or read.__name__.startswith("read_as_config")  # a config has a line for each mistake
    assert len(lines) <= 21
    assert len(str(error.value)) < 30_000
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_mark_of_origin_that_makes_no_sense_is_none(tmp_path, content):
    (tmp_path / ".origin.json").write_bytes(content)
    assert ModelOrigin.of(tmp_path) is None


@pytest.mark.parametrize("name", ["/dev/zero", "../../secret"])
def test_a_mark_of_origin_leads_to_no_file_elsewhere(tmp_path, name):
    mark = {"address": "https://github.com", "sha256": "0" * 64, "files": {name: "0" * 64}}
    (tmp_path / ".origin.json").write_text(json.dumps(mark))
    assert ModelOrigin.of(tmp_path) is None


@pytest.mark.parametrize("wrong", [[], "x", 1, None])
def test_wrong_types_in_a_releases_record_are_one_line(tmp_path, wrong):
    good = {"name": "mine", "dataset": "abc", "facts": {}}
    scored = {"training": good, "dataset": "x", "num_tracks": 1, "num_nan_frames": 0}
    contents = [{"training": wrong}, {"training": good | {"facts": wrong}}]
    contents += [scored | {"stems": wrong}, scored | {"stems": {"vocals": wrong}}]
    for content in contents:
        pack_archive({"config.json": b"{}", "metrics.json": json.dumps(content).encode()}, tmp_path / "m.tar.gz")
        with pytest.raises(StemworksError) as error:
            TrainingRecord.of_release(tmp_path / "m.tar.gz")
        assert "\n" not in str(error.value)


def test_a_champions_damaged_numbers_are_not_believed(tmp_path):
    scores = {"dataset": "x", "num_tracks": 1, "num_nan_frames": 0, "stems": {}}
    (tmp_path / "1.0.0").mkdir()
    tarball = tmp_path / "1.0.0" / "m.tar.gz"
    pack_archive({"metrics.json": json.dumps(scores).encode(), "model.data-00000-of-00001": bytes(100_000)}, tarball)
    tarball.write_bytes(tarball.read_bytes().replace(b'"num_tracks": 1', b'"num_tracks": 9'))
    with raises(ReleaseError, "CRC") as error:
        release_before(tmp_path, "m", "2.0.0")
    assert str(tarball) in str(error.value)


def test_what_is_written_here_is_read_whatever_the_language():
    content = {"name": "Größe 音 (1)", "songs": [1, -2.5, None, True, 10**30]}
    assert parse_json(json.dumps(content)) == parse_json(json.dumps(content, ensure_ascii=False)) == content
    assert parse_json(load_config("4stems").to_json())


def test_a_key_that_is_given_twice_is_named():
    with raises(ForeignTextError, "'F'"):
        parse_json('{"T": 1, "F": 2, "F": 2}')


@pytest.mark.parametrize("name", ["2stems", "my model", "Größe 音", "a..b", ".a", "x" * 150])
def test_a_name_is_a_name(name):
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "...", "/", "a/b", "../a", "a\\b", "a\nb", "a\0b", "\x1b[2J", "\ud800", "é" * 150]
)
def test_a_path_is_no_name(name):
    assert not is_name(name)
