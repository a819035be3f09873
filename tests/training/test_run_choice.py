import os

import pytest

from sepcore.errors import TrainingError
from sepcore.training.checkpoints import restore_selection, save_selection
from sepcore.training.run_choice import begin, check_unchanged, choose_run, unfinished_run, what_is_new
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import FinishedRun, RunInputs
from sepcore.training.selection import Selection
from tests.models import small_config
from tests.raised import raises

SONGS = {"training": "abcdef0123456789", "validation": "0123456789abcdef"}
INPUTS = RunInputs(SONGS)
OTHERS = [
    (RunInputs(SONGS | {"training": "0" * 16}), "other training songs"),
    (RunInputs(SONGS | {"validation": "0" * 16}), "other validation songs"),
    (RunInputs(SONGS, initial_weights="0" * 16), "other initial weights"),
    (RunInputs(SONGS, draws=INPUTS.draws + 1), "an earlier version's random draws"),
]


def started(work_dir, config, *, fresh=False, force=False, inputs=INPUTS, step=300, done=False):
    """A run that has reached a checkpoint."""
    run = choose_run(work_dir, "mine", config, inputs, fresh=fresh, force=force)
    run.start(config, inputs)
    run.checkpoints.mkdir(exist_ok=True)
    (run.checkpoints / f"step-{step}.npz").write_bytes(b"")
    if done:
        run.finish(FinishedRun(name="mine", steps=step, dataset=inputs.songs["training"], mlflow_run_id=None))
    return run


def as_by_the_version_before(run):
    """Leave of a run what that version noted of its songs."""
    (run.path / ".dataset").write_text(run.dataset())
    (run.path / "identity.json").unlink()
    return run


def test_the_same_config_and_dataset_go_on_in_their_folder(tmp_path):
    run = started(tmp_path, small_config())
    assert choose_run(tmp_path, "mine", small_config(throttle_secs=5, train_max_steps=9), INPUTS) == run


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize(("inputs", "difference"), OTHERS)
def test_other_songs_weights_or_draws_make_another_run_and_a_line_says_which(tmp_path, inputs, difference, done):
    run = started(tmp_path, small_config(), done=done)
    assert what_is_new(tmp_path, "mine", small_config(), INPUTS) is None
    assert choose_run(tmp_path, "mine", small_config(), inputs) != run
    expected = f"a new run: {run.path} was trained with {difference}"
    assert what_is_new(tmp_path, "mine", small_config(), inputs) == expected
    assert unfinished_run(tmp_path, "mine", small_config()) == (None if done else run)


def test_a_new_run_beside_a_finished_one_of_another_config_names_the_keys(tmp_path):
    started(tmp_path, small_config(), done=True)
    assert "random_seed as by default (now 1)" in what_is_new(tmp_path, "mine", small_config(random_seed=1), INPUTS)
    assert what_is_new(tmp_path, "other", small_config(), INPUTS) is None


def test_force_goes_on_with_other_songs(tmp_path):
    run = started(tmp_path, small_config())
    inputs, _ = OTHERS[0]
    assert started(tmp_path, small_config(), inputs=inputs, force=True) == run
    assert choose_run(tmp_path, "mine", small_config(), inputs) == run


def test_initial_weights_are_the_same_wherever_they_lie(tmp_path):
    inputs = RunInputs(SONGS, initial_weights="0" * 16)
    run = started(tmp_path, small_config(init_from="here"), inputs=inputs)
    assert choose_run(tmp_path, "mine", small_config(init_from="there"), inputs) == run


@pytest.mark.parametrize("done", [True, False])
def test_a_run_of_an_earlier_version_is_refused_with_the_ways_on(tmp_path, done):
    old = as_by_the_version_before(started(tmp_path, small_config(), done=done))
    with raises(TrainingError, "earlier version", path=old.path, hint="--fresh") as caught:
        choose_run(tmp_path, "mine", small_config(), INPUTS)
    assert "--force" in caught.value.hint
    assert choose_run(tmp_path, "mine", small_config(), INPUTS, force=True) == old
    fresh = started(tmp_path, small_config(), fresh=True)
    assert fresh != old
    assert choose_run(tmp_path, "mine", small_config(), INPUTS) == fresh


def test_a_finished_run_of_an_earlier_version_is_not_taken_for_one_of_other_songs(tmp_path):
    old = as_by_the_version_before(started(tmp_path, small_config(), done=True))
    assert choose_run(tmp_path, "mine", small_config(), OTHERS[0][0], force=True) != old


def test_a_run_of_an_earlier_version_that_was_not_begun_or_of_another_config_stands_in_nobodys_way(tmp_path):
    as_by_the_version_before(started(tmp_path, small_config(), done=True))
    check_unchanged(tmp_path, "mine", small_config(random_seed=1))
    RunFolder(tmp_path / f"new-{'0' * 12}").start(small_config())
    check_unchanged(tmp_path, "new", small_config())


def test_a_folder_in_which_force_trained_another_config_is_not_taken_for_its_first_one(tmp_path):
    changed = small_config(learning_rate=1e-3)
    started(tmp_path, small_config())
    run = started(tmp_path, changed, force=True, done=True)
    assert choose_run(tmp_path, "mine", small_config(), INPUTS).path.name == f"{run.path.name}-2"


def test_the_newest_run_is_the_one_worked_in_last_whatever_the_clock_says(tmp_path):
    runs = [started(tmp_path, small_config(), fresh=True) for _ in range(3)]
    os.utime(runs[0].path / "config.json", (4e9, 4e9))
    assert choose_run(tmp_path, "mine", small_config(), INPUTS) == runs[2]
    runs[1].start(small_config(), INPUTS)
    os.utime(runs[1].path / "config.json", (0, 0))
    assert choose_run(tmp_path, "mine", small_config(), INPUTS) == runs[1]


def test_a_changed_config_is_refused_with_the_keys_that_differ(tmp_path):
    run = started(tmp_path, small_config(learning_rate=1e-3))
    changed = small_config(batch_size=6, model={"type": "unet.unet", "params": {"conv_n_filters": [9, 3, 4, 5, 6, 7]}})
    differing = (
        "learning_rate 0.001 (now as by default)",
        "batch_size 2 (now 6)",
        "model.params.conv_n_filters [2, 3, 4, 5, 6, 7] (now [9, 3, 4, 5, 6, 7])",
    )
    with raises(TrainingError, "step 300", *differing, path=run.path, hint="--fresh") as caught:
        choose_run(tmp_path, "mine", changed, INPUTS)
    assert "--force" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_finished_run_does_not_stand_in_the_way_of_another_config(tmp_path):
    started(tmp_path, small_config(), done=True)
    check_unchanged(tmp_path, "mine", small_config(random_seed=1))


def test_a_run_of_another_name_does_not_stand_in_the_way(tmp_path):
    started(tmp_path, small_config())
    check_unchanged(tmp_path, "other", small_config(random_seed=1))
    check_unchanged(tmp_path, "min", small_config(random_seed=1))


def test_force_goes_on_in_the_run_of_the_other_config_and_so_does_the_next_command(tmp_path):
    changed = small_config(learning_rate=1e-3)
    run = started(tmp_path, small_config())
    assert started(tmp_path, changed, force=True) == run
    assert choose_run(tmp_path, "mine", changed, INPUTS) == run


def test_fresh_starts_beside_the_old_run_and_the_newest_is_gone_on_with(tmp_path):
    first = started(tmp_path, small_config())
    second = started(tmp_path, small_config(), fresh=True)
    third = started(tmp_path, small_config(), fresh=True)
    assert [run.path.name for run in (second, third)] == [f"{first.path.name}-2", f"{first.path.name}-3"]
    assert first.lineage == second.lineage == third.lineage == first.path.name
    assert choose_run(tmp_path, "mine", small_config(), INPUTS) == third


def test_fresh_with_a_changed_config_needs_no_number(tmp_path):
    started(tmp_path, small_config())
    changed = small_config(random_seed=1)
    run = choose_run(tmp_path, "mine", changed, INPUTS, fresh=True)
    assert run == RunFolder.of(tmp_path, "mine", changed, INPUTS)


def test_a_run_folder_that_was_not_begun_stands_in_nobodys_way(tmp_path):
    run = choose_run(tmp_path, "mine", small_config(), INPUTS)
    run.start(small_config(), INPUTS)
    check_unchanged(tmp_path, "mine", small_config(random_seed=1))


@pytest.mark.parametrize(
    ("keys", "inputs", "kept"),
    [
        ({}, INPUTS, True),
        ({"train_max_steps": 9, "throttle_secs": 5, "init_from": "elsewhere", "cache_format": "parquet"}, INPUTS, True),
        ({"model_choice": "validation_loss"}, INPUTS, False),
        ({"loss_type": "L2_mask"}, INPUTS, False),
        ({"random_seed": 7}, INPUTS, False),
        ({"validation_songs": 7}, INPUTS, False),
        *(({}, inputs, False) for inputs, _ in OTHERS),
    ],
)
def test_validations_count_on_only_in_a_run_of_the_same_config_and_inputs(tmp_path, keys, inputs, kept):
    run = started(tmp_path, small_config(model_choice="validation_sdr"))
    selection = Selection(best_step=300, best_value=9.0)
    save_selection(selection, run.checkpoints, step=300)
    begin(run, small_config(**{"model_choice": "validation_sdr"} | keys), inputs)
    assert restore_selection(run.checkpoints, 300) == ((selection, True) if kept else (Selection(), False))
    assert run.inputs() == inputs


def test_validations_of_an_earlier_version_which_did_not_note_their_songs_do_not_count(tmp_path):
    run = as_by_the_version_before(started(tmp_path, small_config()))
    save_selection(Selection(best_step=300, best_value=9.0), run.checkpoints, step=300)
    begin(run, small_config(), INPUTS)
    assert restore_selection(run.checkpoints, 300) == (Selection(), False)
