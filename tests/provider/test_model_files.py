import pytest

from sepcore.provider.checksum import VerifiedArchive
from sepcore.provider.model_files import ModelOrigin, write_origin
from tests.provider.conftest import CHECKPOINT


@pytest.fixture
def folder(tmp_path, write_checkpoint):
    folder = write_checkpoint(tmp_path / "2stems")
    write_origin(folder, VerifiedArchive(tmp_path / "x.tar.gz", "ab" * 32, "https://host/2stems.tar.gz"))
    return folder


def test_a_model_says_where_it_is_from_and_what_came(folder):
    origin = ModelOrigin.of(folder)
    assert (origin.address, origin.sha256) == ("https://host/2stems.tar.gz", "ab" * 32)
    assert set(origin.files) == set(CHECKPOINT)
    assert origin.changed_files(folder) == []


def test_what_is_changed_or_missing_since_is_named(folder):
    (folder / "model.index").write_bytes(b"indeX")
    (folder / "checkpoint").unlink()
    assert ModelOrigin.of(folder).changed_files(folder) == ["checkpoint", "model.index"]


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"address": "", "sha256": "", "files": 1}'])
def test_a_folder_of_another_program_says_nothing(folder, text):
    (folder / ".origin.json").unlink()
    if text is not None:
        (folder / ".origin.json").write_text(text)
    assert ModelOrigin.of(folder) is None
