import os

import pytest

from sepcore.networks.checkpoint_files import find_checkpoint


def write(folder, *names):
    for age, name in enumerate(reversed(names)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (1_000_000 - age,) * 2)


def test_a_folder_with_an_index_and_all_its_parts_holds_a_checkpoint(tmp_path):
    write(tmp_path, "model.index", "model.data-00000-of-00002", "model.data-00001-of-00002")
    assert find_checkpoint(tmp_path) == tmp_path / "model"


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["checkpoint"],
        ["model.index"],
        ["model.data-00000-of-00001"],
        ["model.index", "model.data-00000-of-00002"],
    ],
)
def test_half_a_checkpoint_is_none(tmp_path, names):
    write(tmp_path, *names)
    assert find_checkpoint(tmp_path) is None


def test_the_checkpoint_file_decides_among_several_also_by_a_path_of_another_machine(tmp_path):
    for step in (1, 2, 3):
        write(tmp_path, f"model.ckpt-{step}.index", f"model.ckpt-{step}.data-00000-of-00001")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/home/someone/model.ckpt-2"\n')
    assert find_checkpoint(tmp_path) == tmp_path / "model.ckpt-2"


@pytest.mark.parametrize("named", ["", "/", "."])
def test_a_checkpoint_file_that_names_nothing_leads_to_no_files_beside_the_folder(tmp_path, named):
    write(tmp_path, "folder.index", "folder.data-00000-of-00001")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{named}"\n')
    assert find_checkpoint(folder) is None


def test_without_a_checkpoint_file_the_newest_counts(tmp_path):
    write(tmp_path, "a.index", "a.data-00000-of-00001", "b.index", "b.data-00000-of-00001")
    assert find_checkpoint(tmp_path) == tmp_path / "b"


def test_a_missing_folder_holds_none(tmp_path):
    assert find_checkpoint(tmp_path / "nowhere") is None
