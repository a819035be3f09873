import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sepcore.errors import ProviderError
from sepcore.provider.archive import pack_archive
from sepcore.provider.checksum import VerifiedArchive, file_sha256
from sepcore.provider.origin import ModelOrigin
from sepcore.provider.store import install_model, model_path
from tests.provider.conftest import CHECKPOINT, names


def never():
    raise AssertionError("asked for an archive that is not needed")


@contextmanager
def packed(members=CHECKPOINT):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.tar.gz"
        pack_archive(members, path)
        yield VerifiedArchive(path, file_sha256(path), "the release")


def test_the_folder_of_models_is_the_environments_or_pretrained_models_here(monkeypatch, tmp_path):
    assert model_path() == tmp_path / "models"
    monkeypatch.delenv("MODEL_PATH")
    monkeypatch.chdir(tmp_path)
    assert model_path() == tmp_path / "pretrained_models"


def test_a_model_is_unpacked_with_the_mark_that_spleeter_looks_for_and_nothing_else(models):
    folder = install_model(models / "2stems", packed)
    assert {name: (folder / name).read_bytes() for name in CHECKPOINT} == CHECKPOINT
    assert (folder / ".probe").read_text() == "OK"
    assert names(folder) == sorted([*CHECKPOINT, ".probe", ".origin.json"])
    assert ModelOrigin.of(folder).address == "the release"
    assert names(models) == ["2stems"]


def test_a_whole_model_is_taken_as_it_is_with_or_without_the_mark(models, write_checkpoint):
    write_checkpoint(models / "2stems")
    install_model(models / "2stems", never)
    assert not (models / "2stems" / ".probe").exists()


def test_the_remains_of_an_interrupted_download_are_replaced(models):
    (models / "2stems").mkdir(parents=True)
    (models / "2stems" / "model.data-00000-of-00001").write_bytes(b"half")
    install_model(models / "2stems", packed)
    assert (models / "2stems" / "model.index").is_file()


def test_what_a_killed_process_left_is_removed(models):
    (models / ".tmp-999999999-0123abcd").mkdir(parents=True)
    install_model(models / "2stems", packed)
    assert names(models) == ["2stems"]


def test_many_who_ask_at_once_obtain_it_once(models):
    asked, everyone = [], threading.Barrier(8)

    def obtain():
        asked.append(1)
        return packed()

    def ask(_):
        everyone.wait()
        return install_model(models / "2stems", obtain)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {models / "2stems"}
    assert len(asked) == 1
    assert names(models) == ["2stems"]


@pytest.mark.parametrize(
    ("members", "message"),
    [({"weights.pkl": b""}, "is a pickle"), ({"model.index": b""}, "holds no complete checkpoint")],
)
def test_a_refused_archive_leaves_nothing_and_the_next_attempt_works(models, members, message):
    with pytest.raises(ProviderError, match=message):
        install_model(models / "2stems", lambda: packed(members))
    assert names(models) == []
    install_model(models / "2stems", packed)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ProviderError, match=r"cannot be put there .* set MODEL_PATH to a folder that can be written"):
        install_model(tmp_path / "file" / "2stems", packed)


def test_a_model_may_be_replaced_by_another_and_stays_as_it_was_if_that_one_is_refused(models, write_checkpoint):
    folder = write_checkpoint(models / "2stems")
    (folder / "mine.txt").touch()
    with pytest.raises(ProviderError, match="is a pickle"):
        install_model(folder, lambda: packed({"weights.pkl": b""}), is_there=lambda _: False)
    assert names(folder) == sorted([*CHECKPOINT, "mine.txt"])
    install_model(folder, packed, is_there=lambda _: False)
    assert names(folder) == sorted([*CHECKPOINT, ".probe", ".origin.json"])
