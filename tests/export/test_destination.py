import json

import pytest

from sepcore.errors import ExportError
from sepcore.export.destination import open_destination, write_record
from tests.raised import raises


@pytest.fixture
def export(tmp_path):
    """A folder with an export of two files."""
    folder = tmp_path / "export"
    (folder / "variables").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"model")
    (folder / "variables" / "data").write_bytes(b"weights")
    write_record(folder, form="onnx", model="2stems", fingerprint="f1", difference=1e-6)
    return folder


def test_a_new_and_an_empty_folder_are_free(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("new/deep", "empty"):
        destination = open_destination(tmp_path / name)
        assert destination.record is None
        assert not destination.holds("f1")
        destination.check_replaceable(overwrite=False)
    assert not (tmp_path / "new").exists()


def test_an_export_is_known_again(export):
    destination = open_destination(export)
    assert destination.record.model == "2stems"
    assert destination.record.difference == 1e-6
    assert destination.holds("f1")
    assert not destination.holds("f2")


@pytest.mark.parametrize("change", ["content", "missing"])
def test_a_changed_export_is_not_the_same_any_more(export, change):
    file = export / "variables" / "data"
    file.unlink() if change == "missing" else file.write_bytes(b"other")
    assert not open_destination(export).holds("f1")


def test_another_export_is_replaced_only_with_overwrite(export):
    destination = open_destination(export)
    with raises(ExportError, "onnx of 2stems", path=export, hint="--overwrite"):
        destination.check_replaceable(overwrite=False)
    destination.check_replaceable(overwrite=True)


@pytest.mark.parametrize("name", ["notes.txt", "variables/notes.txt", ".hidden"])
def test_a_file_of_the_users_is_never_replaced(export, name):
    (export / name).write_text("mine")
    with raises(ExportError, name, path=export, hint="another folder"):
        open_destination(export)


@pytest.mark.parametrize("content", ["{}", "no JSON", json.dumps({"files": {"model.onnx": "", "variables/data": ""}})])
def test_an_export_json_of_somebody_elses_makes_no_export(export, content):
    (export / "export.json").write_text(content)
    with raises(ExportError, "export.json", path=export):
        open_destination(export)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with raises(ExportError, "is a file", path=tmp_path / "file", hint="folder"):
        open_destination(tmp_path / "file")


def test_a_folder_in_a_file_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "deep" / "export"
    with raises(ExportError, f"{tmp_path / 'file'} is a file", path=path, hint="another folder"):
        open_destination(path)


def test_the_working_folder_and_those_above_it_are_never_replaced(export, monkeypatch):
    monkeypatch.chdir(export / "variables")
    for path in (export, export / "variables"):
        with raises(ExportError, "working folder", path=path):
            open_destination(path)
