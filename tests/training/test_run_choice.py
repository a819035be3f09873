import pytest

from sepcore.errors import TrainingError
from sepcore.training.run_choice import check_unchanged, choose_run
from sepcore.training.run_folder import RunFolder
from tests.models import small_config

DATASET = "abcdef0123456789"


def started(work_dir, config, *, fresh=False, force=False, dataset=DATASET, step=300, done=False):
    """A run that has reached a checkpoint."""
    run = choose_run(work_dir, "mine", config, dataset, fresh=fresh, force=force)
    run.start(config, dataset=dataset)
    run.checkpoints.mkdir(exist_ok=True)
    (run.checkpoints / f"step-{step}.npz").write_bytes(b"")
    if done:
        run.finish(name="mine", steps=step, dataset=dataset, mlflow_run_id=None)
    return run


def test_the_same_config_and_dataset_go_on_in_their_folder(tmp_path):
    run = started(tmp_path, small_config())
    assert choose_run(tmp_path, "mine", small_config(throttle_secs=5, train_max_steps=9), DATASET) == run


def test_other_songs_make_another_run(tmp_path):
    run = started(tmp_path, small_config())
    assert choose_run(tmp_path, "mine", small_config(), "0" * 16) != run


def test_a_changed_config_is_refused_with_the_keys_that_differ(tmp_path):
    run = started(tmp_path, small_config(learning_rate=1e-3))
    changed = small_config(batch_size=6, model={"type": "unet.unet", "params": {"conv_n_filters": [9, 3, 4, 5, 6, 7]}})
    with pytest.raises(TrainingError) as caught:
        choose_run(tmp_path, "mine", changed, DATASET)
    message = str(caught.value)
    assert message.startswith(f"{run.path}: stopped at step 300")
    assert "learning_rate 0.001 (now as by default)" in message
    assert "batch_size 2 (now 6)" in message
    assert "model.params.conv_n_filters [2, 3, 4, 5, 6, 7] (now [9, 3, 4, 5, 6, 7])" in message
    assert "--fresh" in message
    assert "--force" in message
    assert "\n" not in message


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
    assert choose_run(tmp_path, "mine", changed, DATASET) == run


def test_fresh_starts_beside_the_old_run_and_the_newest_is_gone_on_with(tmp_path):
    first = started(tmp_path, small_config())
    second = started(tmp_path, small_config(), fresh=True)
    third = started(tmp_path, small_config(), fresh=True)
    assert [run.path.name for run in (second, third)] == [f"{first.path.name}-2", f"{first.path.name}-3"]
    assert first.lineage == second.lineage == third.lineage == first.path.name
    assert choose_run(tmp_path, "mine", small_config(), DATASET) == third


def test_fresh_with_a_changed_config_needs_no_number(tmp_path):
    started(tmp_path, small_config())
    changed = small_config(random_seed=1)
    run = choose_run(tmp_path, "mine", changed, DATASET, fresh=True)
    assert run == RunFolder.of(tmp_path, "mine", changed, DATASET)


def test_a_run_folder_that_was_not_begun_stands_in_nobodys_way(tmp_path):
    run = choose_run(tmp_path, "mine", small_config(), DATASET)
    run.start(small_config(), dataset=DATASET)
    check_unchanged(tmp_path, "mine", small_config(random_seed=1))
