"""Tarballs that were made to do harm, or that a disk damaged: the good model or one line, at once, in little room."""

import gzip
import io
import shutil
import tarfile
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sepcore.errors import ProviderError
from sepcore.provider.archive import pack_archive, unpack_archive
from sepcore.system.archive_reader import read_member
from tests.raised import raises

MODEL = {
    "checkpoint": b'model_checkpoint_path: "model"\n',
    "config.json": b"{}",
    "model.data-00000-of-00001": bytes(range(256)) * 16,
    "model.index": b"index",
}


def header(name="a", size=0, kind=tarfile.REGTYPE, content=b""):
    """A member as bytes whose header claims what it likes."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def pax(*records, kind=tarfile.XHDTYPE):
    text = b"".join(records)
    return header("pax", len(text), kind, text)


def record(key, value):
    rest = f" {key}={value}\n".encode("utf-8", "surrogateescape")
    size = next(size for size in range(len(rest), len(rest) + 9) if len(str(size)) + len(rest) == size)
    return str(size).encode() + rest


def negative(info):
    """A header whose size is -512, in base 256."""
    block = bytearray(info)
    block[124:136] = b"\xff" * 10 + b"\xfe\x00"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block)


def sparse(*blocks):
    info = bytearray(header("model.index", 512, tarfile.GNUTYPE_SPARSE))
    info[482] = 1
    info[148:156] = b" " * 8
    info[148:156] = b"%06o\0 " % sum(info[:512])
    return bytes(info) + b"".join(blocks)


def ending_in(name):
    return header("model.index", 5, content=b"index") + header(name, 1, content=b"x")


HOSTILE = {
    "a negative size": negative(header()) + header("b", 1, content=b"x"),
    "a negative size in pax": pax(record("size", -1536)) + header(),
    "a size that is no number": pax(record("size", "x")) + header(content=b"x" * 512),
    "an absurd size": header("model.data", 8 * 2**60),
    "an absurd size in pax": pax(record("size", 10**40)) + header(),
    "pax headers in a chain": pax(record("comment", "x")) * 100_000,
    "global pax headers in a chain": pax(record("comment", "x"), kind=tarfile.XGLTYPE) * 100_000,
    "long names in a chain": header("././@LongLink", 2, tarfile.GNUTYPE_LONGNAME, b"a\0") * 100_000,
    "digits, which tarfile searches slowly": (pax(b"1" * 4096) + header()) * 1000,
    "a huge pax header": pax(b"1" * 10_000_000) + header(),
    "a sparse map that is no map": pax(record("GNU.sparse.major", 1), record("GNU.sparse.minor", 0)) + header(size=512),
    "a sparse map in pax without end": pax(record("GNU.sparse.major", 1), record("GNU.sparse.minor", 0))
    + header(size=512, content=(b"9" * 30 + b"\n") + b"1\n" * 3_000_000),
    "a sparse map of nothing": pax(record("GNU.sparse.map", "")) + header(),
    "a sparse map of words": pax(record("GNU.sparse.map", "a,b")) + header(),
    "a sparse map without end": sparse(*[b"1" * 504 + b"\1" + bytes(7)] * 100_000),
    "a sparse file of a lying size": pax(record("GNU.sparse.map", "0,1"), record("GNU.sparse.size", 10**12)) + header(),
    "a time that is none": pax(record("mtime", "1e400")) + header(),
    "a time that is no number": pax(record("mtime", "nan")) + header(),
    "a time before all times": pax(record("mtime", "-1e30")) + header(),
    "a character set that is none": pax(record("hdrcharset", "\udcff")) + header(),
    "a record of no length": pax(b"0 path=a\n") + header(),
    "very many members": b"".join(header(str(i)) for i in range(50_000)),
    "zeros that fill a disk": header("model.data", 3 * 2**30, content=bytes(400 * 2**20)),
    "zeros behind the end": header() + bytes(400 * 2**20),
    "a header that is damaged, behind the first": header() + b"x" * 512 + bytes(1024),
    "something behind the end": header() + bytes(1024) + b"x" * 512,
    "a long name": ending_in("a" * 3000),
    "a long path": ending_in("a/" * 2000 + "b"),
    "a name of two lines": ending_in("a\nrefused"),
    "a terminal's escape": ending_in("\x1b[2Ja"),
    "a name that is not UTF-8": ending_in("\udcff"),
    "no name": ending_in(""),
    "a name of a folder": ending_in("."),
    "the same name twice": ending_in("model.index"),
    "the same name otherwise": ending_in("./model.index"),
    "the same name on some disks": ending_in("MODEL.index"),
    "a path of another system": ending_in("..\\evil"),
    "a folder above": ending_in("a/../../evil"),
    "the root": ending_in("/tmp/evil"),
    "a link in a hidden place": ending_in("x") + header(".a", 0, tarfile.SYMTYPE),
    "a file below a file": ending_in("model.index/b"),
}


def unpacked(archive, folder):
    folder.mkdir()
    try:
        unpack_archive(archive, folder)
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module", params=HOSTILE)
def hostile(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "x.tar.gz"
    path.write_bytes(gzip.compress(HOSTILE[request.param], 1))
    return path


def test_a_tarball_that_was_made_to_do_harm_is_one_line_at_once(hostile, tmp_path):
    with raises(ProviderError, path="x.tar.gz") as error:
        unpacked(hostile, tmp_path / "unpacked")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 500
    assert not list(tmp_path.iterdir())


def test_nor_does_it_harm_who_looks_for_its_config(hostile):
    with suppress(OSError):
        assert read_member(hostile, "config.json") is None


@pytest.mark.parametrize("name", ["a huge pax header", "a sparse map without end", "zeros that fill a disk"])
def test_it_takes_little_memory(tmp_path, name):
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(HOSTILE[name], 1))
    tracemalloc.start()
    with pytest.raises(ProviderError):
        unpacked(tmp_path / "x.tar.gz", tmp_path / "unpacked")
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert memory < 10 * 2**20


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "x.tar.gz"
    pack_archive(MODEL, path)
    return path.read_bytes()


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_to_a_tarball_ends_in_the_good_model_or_one_line(good, tmp_path, data):
    content = bytearray(good if data.draw(st.booleans()) else gzip.compress(gzip.decompress(good), mtime=0))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 8))
        content[start : start + length] = data.draw(st.binary(max_size=8))
    assert_good_or_one_line(bytes(content), tmp_path)


def test_no_flipped_bit_goes_unseen(good, tmp_path):
    for place in [*range(0, 600, 7), *range(600, len(good) - 40, 101), *range(len(good) - 40, len(good), 3)]:
        content = bytearray(good)
        content[place] ^= 1 << place % 8
        assert_good_or_one_line(bytes(content), tmp_path)


def assert_good_or_one_line(content, tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(content)
    try:
        assert unpacked(tmp_path / "x.tar.gz", tmp_path / "unpacked") == MODEL
    except ProviderError as error:
        assert str(error).isprintable()  # noqa: PT017 - that it is not raised is as good


@pytest.mark.parametrize("cut", range(0, 2000, 97))
def test_a_tarball_that_was_cut_off_is_one_line(good, tmp_path, cut):
    (tmp_path / "x.tar.gz").write_bytes(good[: len(good) - 1 - cut])
    with raises(ProviderError, ".tar.gz", path="x.tar.gz"):
        unpacked(tmp_path / "x.tar.gz", tmp_path / "unpacked")


def test_no_hidden_file_is_unpacked_whatever_mark_it_pretends_to_be(tmp_path):
    hidden = [
        ".origin.json",
        ".run",
        ".probe",
        ".network-4-0.onnx",
        ".network-4-0.sha256",
        "._model.index",
        ".git/config",
    ]
    pack_archive({**MODEL, **dict.fromkeys(hidden, b"forged")}, tmp_path / "flat.tar.gz")
    assert unpacked(tmp_path / "flat.tar.gz", tmp_path / "unpacked") == MODEL
    # As a Mac's tar packs a folder: its own attributes lie beside it.
    nested = {f"mine/{name}": content for name, content in MODEL.items()}
    pack_archive({"._mine": b"x", "mine/._checkpoint": b"x", **nested}, tmp_path / "folder.tar.gz")
    assert unpacked(tmp_path / "folder.tar.gz", tmp_path / "unpacked") == MODEL


def test_a_tarball_of_another_program_is_unpacked(tmp_path):
    """With a long name, times and an owner in pax headers, and folders of their own."""
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(tmp_path / "x.tar.gz", "w:gz", format=form) as tar:
            folder = tarfile.TarInfo("mine")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
            for name in ("ü" * 60 + "/model.index", "model.index"):
                info = tarfile.TarInfo(f"mine/{name}")
                info.size, info.mtime, info.uname = 5, 1.5, "müller"
                info.pax_headers = {"LIBARCHIVE.xattr.com.apple.provenance": "AQIA"}
                tar.addfile(info, io.BytesIO(b"index"))
        assert unpacked(tmp_path / "x.tar.gz", tmp_path / "unpacked") == {
            "ü" * 60 + "/model.index": b"index",
            "model.index": b"index",
        }
