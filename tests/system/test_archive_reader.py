import gzip
import tarfile

import pytest

from sepcore.provider.archive import pack_archive
from sepcore.system.archive_reader import read_member


def test_the_first_file_of_a_name_is_read_in_whatever_folder_it_lies(tmp_path):
    pack_archive({"b/config.json": b"{}", "c/config.json": b"[]", "other": b"x"}, tmp_path / "x.tar.gz")
    assert read_member(tmp_path / "x.tar.gz", "config.json") == "{}"
    assert read_member(tmp_path / "x.tar.gz", "metrics.json") is None


def test_a_file_too_large_for_a_text_is_none(tmp_path):
    pack_archive({"config.json": bytes(1_000_000)}, tmp_path / "x.tar.gz")
    assert read_member(tmp_path / "x.tar.gz", "config.json") is None


def huge_header():
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 100 * 2**20
    return gzip.compress(name.tobuf(tarfile.GNU_FORMAT) + bytes(1000))


@pytest.mark.parametrize("content", [b"", b"<html>", gzip.compress(b"x" * 600), huge_header()], ids=range(4))
def test_what_is_no_tarball_or_claims_a_huge_header_is_one_line(tmp_path, content):
    (tmp_path / "x.tar.gz").write_bytes(content)
    with pytest.raises(OSError, match=r".") as error:
        read_member(tmp_path / "x.tar.gz", "config.json")
    assert "\n" not in str(error.value)


def test_a_truncated_tarball_is_told(tmp_path):
    pack_archive({"a": bytes(range(256)) * 1000, "config.json": b"{}"}, tmp_path / "x.tar.gz")
    whole = (tmp_path / "x.tar.gz").read_bytes()
    (tmp_path / "x.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OSError, match="ended before"):
        read_member(tmp_path / "x.tar.gz", "config.json")
