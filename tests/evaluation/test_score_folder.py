import json

import pandas as pd
import pytest

from sepcore.errors import DatasetError
from sepcore.evaluation.score_folder import has_scores, read_score_folder
from sepcore.evaluation.track_scores import COLUMNS, save_track_scores, write_table
from tests.evaluation.score_tables import model, scores_of
from tests.raised import raises


def write_json_files(folder):
    """museval's files of two tracks, where museval puts them; returns the frames."""
    frames = model(1, tracks=2).round(5)
    for _, track in frames.groupby("track"):
        save_track_scores(scores_of(track), folder)
    return frames


def test_the_table_of_frames_is_read_where_there_is_one(tmp_path):
    frames = write_table([model(1)], tmp_path / "frames.parquet")
    write_json_files(tmp_path)
    pd.testing.assert_frame_equal(read_score_folder(tmp_path).frames, frames)


def test_without_one_musevals_files_are_read(tmp_path):
    frames = write_json_files(tmp_path)
    pd.testing.assert_frame_equal(read_score_folder(tmp_path).frames, frames)


def test_files_of_another_program_may_lie_in_the_folder_itself(tmp_path):
    frames = write_json_files(tmp_path)
    (tmp_path / "scores.json").write_text('{"dataset": "x"}')
    assert has_scores(tmp_path)
    found = read_score_folder(tmp_path / "test")
    pd.testing.assert_frame_equal(found.frames, frames)
    assert found.dataset is None


def test_files_that_museval_itself_wrote_are_read(tmp_path):
    museval = pytest.importorskip("museval")
    store = museval.aggregate.TrackStore(win=1, hop=1, track_name="Song")
    values = {metric: [1.0, float("nan")] for metric in ("SDR", "ISR", "SIR", "SAR")}
    store.add_target(target_name="vocals", values=values)
    (tmp_path / "Song.json").write_text(store.json)
    found = read_score_folder(tmp_path).frames
    assert list(found.columns) == list(COLUMNS)
    assert found["SDR"].isna().tolist() == [False, True]
    assert found["mixture_SDR"].isna().all()


@pytest.mark.parametrize(
    ("text", "dataset"),
    [
        ('{"dataset": "MUSDB18", "more": 1}', "MUSDB18"),
        ("{}", None),
        ("[]", None),
        ('{"dataset": 1}', None),
        ("{", None),
    ],
)
def test_the_datasets_name_is_known_where_the_folder_says_it(tmp_path, text, dataset):
    write_json_files(tmp_path)
    (tmp_path / "scores.json").write_text(text)
    assert read_score_folder(tmp_path).dataset == dataset


def test_a_folder_that_is_not_there_or_has_no_scores_is_one_line(tmp_path):
    with raises(DatasetError, "no such folder", path=tmp_path / "missing", hint="`python -m flows.evaluate -o`"):
        read_score_folder(tmp_path / "missing")
    (tmp_path / "scores.json").write_text(json.dumps({"dataset": "x"}))
    assert not has_scores(tmp_path)
    files = "frames.parquet", "test/<track>.json", "<track>.json"
    with raises(DatasetError, *files, path=tmp_path, hint=f"python -m flows.evaluate -p MODEL … -o {tmp_path}"):
        read_score_folder(tmp_path)


@pytest.mark.parametrize("name", ["frames.parquet", "Song.json"])
def test_a_damaged_file_is_named(tmp_path, name):
    (tmp_path / name).write_text("not what it should be")
    with raises(DatasetError, path=tmp_path / name, hint="evaluate again") as refused:
        read_score_folder(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_table_of_something_else_is_refused(tmp_path):
    pd.DataFrame({"track": ["A"], "SDR": [1.0]}).to_parquet(tmp_path / "frames.parquet")
    with raises(DatasetError, "target, time_s", path=tmp_path / "frames.parquet", hint="Evaluate again"):
        read_score_folder(tmp_path)
