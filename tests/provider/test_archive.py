import gzip
import hashlib
import io
import os
import pickle
import subprocess
import tarfile
import time

import pytest

from sepcore.errors import ProviderError
from sepcore.provider import archive as archive_module
from sepcore.provider.archive import pack_archive, unpack_archive
from tests.raised import raises


@pytest.fixture(autouse=True, params=[{"filter": "data"}, {"set_attrs": False}], ids=["python-3.11.4", "python-3.11.2"])
def extraction(request, monkeypatch):
    """Whatever is refused has to be refused by Python's filter, and without it by our own checks alone."""
    if "filter" in request.param and not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python's tarfile has no filters")
    monkeypatch.setattr(archive_module, "_EXTRACTION", request.param)


def unpacked(archive, tmp_path):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    unpack_archive(archive, folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tarball(path, *members):
    """A .tar.gz of (name, content) and of ready TarInfos."""
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def test_what_is_packed_is_what_is_unpacked(tmp_path):
    source = tmp_path / "weights"
    source.write_bytes(b"from a file")
    pack_archive({"b/weights": source, "a": b"from memory"}, tmp_path / "x.tar.gz")
    assert unpacked(tmp_path / "x.tar.gz", tmp_path) == {"b/weights": b"from a file", "a": b"from memory"}


def test_the_same_files_give_the_same_bytes_whatever_their_order_times_and_permissions(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for path, mode, age in ((first, 0o600, 0), (second, 0o755, 10_000)):
        path.write_bytes(b"weights")
        path.chmod(mode)
        os.utime(path, (time.time() - age,) * 2)
    pack_archive({"a": first, "b": b"text"}, tmp_path / "1.tar.gz")
    pack_archive({"b": b"text", "a": second}, tmp_path / "2.tar.gz")
    assert (tmp_path / "1.tar.gz").read_bytes() == (tmp_path / "2.tar.gz").read_bytes()


def test_the_bytes_depend_on_no_build_of_zlib(tmp_path, monkeypatch):
    content = os.urandom(200_000) + bytes(100_000)
    monkeypatch.setattr("zlib.compressobj", None)
    pack_archive({"a": content, "b": b""}, tmp_path / "x.tar.gz")
    # Of the version of Python neither: these bytes are for ever.
    pack_archive({"config.json": b"{}", "model.index": bytes(range(256)) * 300}, tmp_path / "fixed.tar.gz")
    digest = hashlib.sha256((tmp_path / "fixed.tar.gz").read_bytes()).hexdigest()
    assert digest == "6b55d94496120ad6632858988ecd2e7cabc155be2f17d6d516f5455807adb42f"
    with tarfile.open(tmp_path / "x.tar.gz") as tar:  # as Spleeter reads it
        assert tar.extractfile("a").read() == content
    assert gzip.decompress((tmp_path / "x.tar.gz").read_bytes())[512 : 512 + len(content)] == content
    subprocess.run(["gzip", "-t", "x.tar.gz"], cwd=tmp_path, check=True)


def test_packed_members_have_fixed_times_owners_and_permissions_and_sorted_names(tmp_path):
    pack_archive({"b": b"", "a": b""}, tmp_path / "x.tar.gz")
    with tarfile.open(tmp_path / "x.tar.gz") as tar:
        found = [(m.name, m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar]
    assert found == [("a", 0, 0, 0, "", "", 0o644), ("b", 0, 0, 0, "", "", 0o644)]


@pytest.mark.parametrize("prefix", ["", "./", "model-1.0/", "model.index/"])
def test_files_may_lie_at_the_root_or_in_one_folder(tmp_path, prefix):
    path = tarball(tmp_path / "x.tar.gz", (f"{prefix}model.index", b"i"), (f"{prefix}sub/file", b"f"))
    assert unpacked(path, tmp_path) == {"model.index": b"i", "sub/file": b"f"}


def special(kind, name="member", target="elsewhere"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def nul_in_name():
    info = tarfile.TarInfo("member")
    info.pax_headers = {"path": "a\0b"}
    return info


@pytest.mark.parametrize(
    ("member", "named"),
    [
        (("../evil", b"x"), ["'../evil'"]),
        (("a/../../evil", b"x"), ["'a/../../evil'"]),
        (("/etc/evil", b"x"), ["'/etc/evil'"]),
        (special(tarfile.SYMTYPE), ["'member'"]),
        (special(tarfile.LNKTYPE), ["'member'"]),
        (special(tarfile.FIFOTYPE), ["'member'"]),
        (special(tarfile.CHRTYPE), ["'member'"]),
        (("weights.pkl", b"x"), ["'weights.pkl'", "pickle"]),
        (("sub/weights.PT", b"x"), ["'sub/weights.PT'", "pickle"]),
        (("weights.bin", pickle.dumps({"a": 1})), ["'weights.bin'", "pickle"]),
        (nul_in_name(), [repr("a\0b")]),
    ],
)
def test_a_member_that_could_do_harm_is_refused(tmp_path, member, named):
    path = tarball(tmp_path / "x.tar.gz", ("good", b"x"), member)
    with raises(ProviderError, *named, path="x.tar.gz", hint="config and checkpoint") as error:
        unpacked(path, tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "evil").exists()


def test_an_archive_that_would_fill_the_disk_is_refused_by_its_header(tmp_path):
    huge = tarfile.TarInfo("model.data")
    huge.size = 10 * 2**30
    with tarfile.open(tmp_path / "plain.tar", "w") as tar:
        tar.fileobj.write(huge.tobuf())
    pack = tmp_path / "x.tar.gz"
    pack.write_bytes(gzip.compress((tmp_path / "plain.tar").read_bytes()))
    with raises(ProviderError, "4 GiB", path="x.tar.gz"):
        unpacked(pack, tmp_path)


@pytest.mark.parametrize("claimed", [10 * 2**30, 100 * 2**20])
def test_a_header_that_claims_to_be_huge_is_refused_before_it_fills_the_memory(tmp_path, claimed):
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, claimed
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(name.tobuf(tarfile.GNU_FORMAT) + bytes(1000)))
    with raises(ProviderError, ".tar.gz", f"{claimed} bytes", path="x.tar.gz"):
        unpacked(tmp_path / "x.tar.gz", tmp_path)


def test_a_sparse_member_is_refused(tmp_path):
    sparse = tmp_path / "model.data-00000-of-00001"
    with sparse.open("wb") as file:
        file.truncate(10 * 2**30)
    subprocess.run(["tar", "--sparse", "-czf", "x.tar.gz", sparse.name], cwd=tmp_path, check=True)
    with raises(ProviderError, sparse.name, path="x.tar.gz"):
        unpacked(tmp_path / "x.tar.gz", tmp_path)


def test_a_file_where_a_folder_should_be_is_one_line(tmp_path):
    path = tarball(tmp_path / "x.tar.gz", ("a", b"x"), ("a/b", b"x"))
    with raises(ProviderError, ".tar.gz", path="x.tar.gz"):
        unpacked(path, tmp_path)


def test_weights_that_begin_as_a_pickle_does_are_weights(tmp_path):
    weights = pickle.dumps([])
    path = tarball(tmp_path / "x.tar.gz", ("model.data-00000-of-00001", weights), ("model.index", weights))
    assert list(unpacked(path, tmp_path).values()) == [weights, weights]


def test_the_sizes_of_all_members_count_together(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_BYTES", 15)
    path = tarball(tmp_path / "x.tar.gz", ("a", b"x" * 10), ("b", b"x" * 10))
    with raises(ProviderError, "GiB", path="x.tar.gz"):
        unpacked(path, tmp_path)


def test_an_archive_of_very_many_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 3)
    path = tarball(tmp_path / "x.tar.gz", *((str(i), b"") for i in range(4)))
    with raises(ProviderError, "3 members", path="x.tar.gz"):
        unpacked(path, tmp_path)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"<html>no such page</html>", lambda b: b""])
def test_a_damaged_archive_is_one_line(tmp_path, damage):
    path = tmp_path / "x.tar.gz"
    pack_archive({"a": os.urandom(5000)}, path)
    path.write_bytes(damage(path.read_bytes()))
    with raises(ProviderError, ".tar.gz", path="x.tar.gz"):
        unpacked(path, tmp_path)
