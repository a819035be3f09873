import hashlib
import json

import pytest

from sepcore.errors import ProviderError
from sepcore.provider.checksum import VerifiedArchive, file_sha256, parse_checksums, read_checksums, verified
from tests.raised import raises


def test_the_sha256_of_a_file_is_hashlibs(tmp_path):
    content = b"weights" * 100_000
    (tmp_path / "x").write_bytes(content)
    assert file_sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_checksums_are_read_by_name_in_lower_case():
    assert parse_checksums(json.dumps({"a": "AB" * 32}), "x") == {"a": "ab" * 32}


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"a": 1}', '{"a": "short"}'])
def test_something_else_is_one_line(text):
    with raises(ProviderError, '"<model>": "<SHA-256>"', path="here"):
        parse_checksums(text, "here")


def test_a_folder_without_a_list_has_no_checksums(tmp_path):
    assert read_checksums(tmp_path) == {}


def test_an_archive_is_verified_by_the_list_beside_it(tmp_path):
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    (tmp_path / "checksum.json").write_text(json.dumps({"x": digest}))
    assert verified(archive, "x") == verified(archive, "not listed") == VerifiedArchive(archive, digest, str(archive))
    archive.write_bytes(b"other")
    with raises(ProviderError, file_sha256(archive)[:12], "checksum.json", digest[:12], path=archive):
        verified(archive, "x")
