import pytest

from flows.evaluate import flow as evaluation
from sepcore.errors import AudioDecodeError, DatasetError
from sepcore.evaluation.estimates import UntouchedMixture
from sepcore.evaluation.scores import ScoreSummary, read_score_folder
from sepcore.evaluation.track_evaluation import evaluate_track
from tests.evaluation.songs import RATE, write_song
from tests.models import small_config


class Future:
    def __init__(self, row, estimates, out, engine):
        self.result = lambda: evaluate_track(row, estimates, out, engine)


@pytest.mark.parametrize("own", [True, False])
def test_killed_beside_the_new_tables_nothing_says_that_they_are_of_the_old_model(tmp_path, monkeypatch, own):
    config = small_config()
    row = write_song(tmp_path, "a song", stems=config.instruments, length=2 * RATE)
    monkeypatch.setattr(
        evaluation, "finished_tasks", lambda task, rows, *rest, **how: [(row, Future(row, *rest)) for row in rows]
    )
    out, estimates = tmp_path / "scores", UntouchedMixture(config)
    result = evaluation.evaluate_songs([row], estimates, out, "fast")
    text = ScoreSummary.from_tracks(result.tracks, dataset="mine", made_from=result.made_from).to_json()
    (out / "scores.json").write_text(text if own else '{"of": "another program"}')
    assert (read_score_folder(out).made_from is not None) == own
    real = evaluation.write_table

    def written_and_killed(*arguments):
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "write_table", written_and_killed)
    with pytest.raises(KeyboardInterrupt):
        evaluation.evaluate_songs([row], estimates, out, "fast")
    assert read_score_folder(out).made_from is None
    assert (out / "scores.json").exists() != own


def test_the_line_of_a_failed_song_begins_with_its_name_only_where_nothing_else_names_it():
    of_its_folder = DatasetError("Song has no estimate of vocals", path="stems/test/Song")
    of_a_recording = AudioDecodeError("is empty", path="recordings/1.wav")
    of_a_namesake = AudioDecodeError("is empty", path="/Song/data/recordings/1.wav")
    of_no_file = DatasetError("Song: one of its files has no samples")
    lines = [evaluation._line("Song", error) for error in (of_its_folder, of_a_recording, of_a_namesake, of_no_file)]
    assert lines == [str(of_its_folder), f"Song: {of_a_recording}", f"Song: {of_a_namesake}", str(of_no_file)]
