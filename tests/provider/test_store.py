import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sepcore.errors import ProviderError
from sepcore.provider.archive import pack_archive
from sepcore.provider.checksum import VerifiedArchive, file_sha256
from sepcore.provider.store import ModelOrigin, install_model, model_path, write_origin
from tests.provider.conftest import CHECKPOINT, names
from tests.raised import raises


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
    ("members", "named"), [({"weights.pkl": b""}, "'weights.pkl'"), ({"model.index": b""}, "*.index and *.data-*")]
)
def test_a_refused_archive_leaves_nothing_and_the_next_attempt_works(models, members, named):
    with raises(ProviderError, named, path="the release"):
        install_model(models / "2stems", lambda: packed(members))
    assert names(models) == []
    install_model(models / "2stems", packed)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "2stems"
    with raises(ProviderError, tmp_path / "file", path=folder, hint="MODEL_PATH") as error:
        install_model(folder, packed)
    assert error.value.errno == errno.EEXIST


def test_a_model_stays_as_it_was_if_the_one_that_shall_replace_it_is_refused(models):
    folder = install_model(models / "2stems", packed)
    before = contents(models)
    with raises(ProviderError, "'weights.pkl'", path="the release"):
        install_model(folder, lambda: packed({"weights.pkl": b""}), is_there=lambda _: False)
    assert contents(models) == before


# What somebody else put there


def put_song(folder):
    (folder / "vocals.wav").write_bytes(b"stem")


def put_folder(folder):
    (folder / "album").mkdir()


def put_link(folder):
    (folder / "model.index").symlink_to(folder.parent)


def put_own_config(folder):
    (folder / "config.json").write_text("{}")


def put_odd_name(folder):
    (folder / ".model\n.index").touch()


def put_another_weights_name(folder):
    (folder / "model.data-1-of-2.bak").touch()


STRANGERS = {
    "vocals.wav": put_song,
    "album": put_folder,
    "model.index": put_link,
    "config.json": put_own_config,
    r".model\n.index": put_odd_name,
    "model.data-1-of-2.bak": put_another_weights_name,
}


@pytest.mark.parametrize("remains", [False, True])
@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_folder_with_a_file_that_no_download_leaves_is_refused_before_any_download(models, stranger, remains):
    folder = models / "2stems"
    folder.mkdir(parents=True)
    if remains:
        (folder / "model.data-00000-of-00001").write_bytes(b"half")
    STRANGERS[stranger](folder)
    before = contents(models)
    with raises(ProviderError, stranger, path=folder, hint="MODEL_PATH") as error:
        install_model(folder, never)
    assert "\n" not in str(error.value)
    assert contents(models) == before


def test_of_many_strangers_three_are_named(models):
    (models / "2stems").mkdir(parents=True)
    for name in "abcde":
        (models / "2stems" / name).touch()
    with raises(ProviderError, "a, b, c and 2 more", path=models / "2stems", hint="MODEL_PATH"):
        install_model(models / "2stems", never)


def test_a_link_or_a_file_in_the_place_of_the_folder_stays(models, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    models.mkdir()
    (models / "2stems").symlink_to(tmp_path / "elsewhere")
    with raises(ProviderError, "link", path=models / "2stems", hint="link"):
        install_model(models / "2stems", never)
    assert (models / "2stems").is_symlink()
    (models / "4stems").write_text("mine")
    with raises(ProviderError, "file", path=models / "4stems", hint="MODEL_PATH"):
        install_model(models / "4stems", never)
    assert names(models) == ["2stems", "4stems"]


def test_all_that_an_interrupted_download_can_leave_is_replaced(models):
    (models / "2stems").mkdir(parents=True)
    for name in ("checkpoint", "model.meta", "model.index", "model.data-00000-of-00002", ".probe"):
        (models / "2stems" / name).write_bytes(b"half")
    install_model(models / "2stems", packed)
    assert names(models / "2stems") == sorted([*CHECKPOINT, ".probe", ".origin.json"])


def test_what_is_made_of_a_model_here_goes_with_it(models):
    install_model(models / "2stems", packed)
    for name in (".network-3-0123456789abcdef.onnx", ".network-3-0123456789abcdef.sha256"):
        (models / "2stems" / name).touch()
    install_model(models / "2stems", packed, is_there=lambda _: False)
    assert names(models / "2stems") == sorted([*CHECKPOINT, ".probe", ".origin.json"])


def test_a_file_that_is_put_there_while_the_model_is_fetched_keeps_its_place(models):
    (models / "2stems").mkdir(parents=True)

    def obtain():
        put_song(models / "2stems")
        return packed()

    install_model(models / "2stems", obtain)
    assert (models / "2stems" / "vocals.wav").read_bytes() == b"stem"
    assert (models / "2stems" / "model.index").read_bytes() == b"index"
    assert names(models) == ["2stems"]


def test_what_lies_beside_the_models_is_left_alone(models):
    models.mkdir()
    for name in ("notes.txt", ".tmp-123", ".tmp-123-notes.txt", ".tmp-backup", "2stems.part", ".mine.part"):
        (models / name).write_text("mine")
    before = contents(models)
    install_model(models / "2stems", packed)
    assert before.items() <= contents(models).items()


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else path.lstat().st_mode for path in folder.rglob("*")}


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
