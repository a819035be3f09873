"""kill -9 at random steps of a training, a full disk at checkpoint time, two trainings of one run."""

import json
import os
import random
import signal
import sys
import time

import psutil
import pytest

from sepcore.training.metrics_log import read_records
from tests.faults.conftest import CONFIG
from tests.faults.workplace import (
    CACHE,
    LONG,
    NUM_KILLS,
    PATIENCE_S,
    Job,
    ended,
    kill_group,
    resume,
    said,
    suspend,
    thoroughly,
    wait_until,
)

pytestmark = pytest.mark.slow

TRAIN = Job(("flows.train", "-p", "train.json"), ("runs",))
NUM_STEPS, CHECKPOINT_STEPS = 30, 6
# All that has a state of its own: batch norm, dropout, optimizer slots, their mean, schedule, augmentation, selection.
KEYS = {
    "deterministic": True,
    "train_max_steps": NUM_STEPS,
    "save_checkpoints_steps": CHECKPOINT_STEPS,
    "save_summary_steps": 1,
    "batch_size": 2,
    "learning_rate": 0.01,
    "batch_statistics": True,
    "dropout": 0.2,
    "ema": 0.9,
    "clip_norm": 1.0,
    "schedule": "plateau",
    "plateau_patience": 1,
    "warmup_steps": 5,
    "model_choice": "validation_sdr",
    "validation_songs": 1,
    "augmentation": {"gain_db": 3, "channel_swap": True, "remix": 0.3},
}
WAVEFORMS = {
    "cache_content": "waveform",
    "train_max_steps": 2 * CHECKPOINT_STEPS,
    "augmentation": {
        "gain_db": 3,
        "channel_swap": True,
        "remix": 0.5,
        "polarity": True,
        "time_shift_s": 0.2,
        "activity": 0.5,
    },
}
NUM_TRAINING_KILLS = 5 if NUM_KILLS > 2 else 1


@pytest.fixture(scope="session")
def make_training(make_workplace):
    """``make_training(folder, **keys)``: a workplace with the config above, whose songs the first training caches."""

    def make(folder, **keys):
        workplace = make_workplace(folder)
        (workplace.folder / "train.json").write_text(json.dumps(CONFIG | KEYS | keys))
        return workplace

    return make


@pytest.fixture
def workplace(make_training, tmp_path):
    return make_training(tmp_path / "work")


@pytest.fixture(scope="session")
def undisturbed(make_training, tmp_path_factory):
    """Where a training ran that nothing disturbs."""
    workplace = make_training(tmp_path_factory.mktemp("undisturbed") / "work")
    workplace.finish(TRAIN)
    return workplace


@pytest.fixture(scope="session")
def expected(undisturbed):
    """What it leaves."""
    return left_by(undisturbed)


def run_folder(workplace):
    folders = list(workplace.folder.glob("runs/*"))
    return folders[0] if folders else workplace.folder / "runs" / "none yet"


def records(workplace):
    return read_records(run_folder(workplace) / "metrics.jsonl")


def left_by(workplace):
    """Weights, optimizer and selection byte for byte; losses and scores to the last digit, each with its step."""
    run = run_folder(workplace)
    weights = {
        str(path.relative_to(run)): path.read_bytes()
        for folder in ("checkpoints", "model", "best", "last")
        for path in sorted((run / folder).rglob("*"))
        if path.is_file()
    }
    measured = [(r.kind, r.step, dict(r.metrics)) for r in records(workplace) if r.kind != "system"]
    return weights, measured


@pytest.mark.parametrize("number", range(NUM_TRAINING_KILLS))
def test_a_training_killed_at_a_random_step_ends_bit_for_bit_as_if_nothing_had_been(
    number, workplace, expected, capsys
):
    rng = random.Random(20 + number)
    step = rng.randrange(1, NUM_STEPS)
    process = workplace.start(TRAIN)
    wait_until(lambda: any(record.step >= step for record in records(workplace)), process)
    time.sleep(rng.uniform(0, 0.05))
    kill_group(process)
    reached = records(workplace)[-1].step

    workplace.finish(TRAIN)

    weights, measured = left_by(workplace)
    assert measured == expected[1]
    assert weights.keys() == expected[0].keys()
    assert [name for name, content in weights.items() if content != expected[0][name]] == []
    assert (run_folder(workplace) / "done.json").is_file()
    assert workplace.leftovers() == []
    with capsys.disabled():
        again = reached - reached // CHECKPOINT_STEPS * CHECKPOINT_STEPS
        sys.stdout.write(f"\ntraining killed at step {reached} of {NUM_STEPS}: {again} steps done again, bit-equal\n")


def test_the_same_on_waveforms_with_all_augmentation(make_training, tmp_path):
    undisturbed, killed = (make_training(tmp_path / name, **WAVEFORMS) for name in ("undisturbed", "killed"))
    undisturbed.finish(TRAIN)
    process = killed.start(TRAIN)
    wait_until(lambda: any(record.step > CHECKPOINT_STEPS for record in records(killed)), process)
    kill_group(process)
    killed.finish(TRAIN)
    assert left_by(killed) == left_by(undisturbed)
    assert killed.leftovers() == []


# A package of the user's, as CONTRIBUTING.md has it: the commands find its network by its entry point.
PLUGIN = {
    "mine.py": """
import keras
from sepcore.config.network import StrictModel
from sepcore.networks.registry import register_network


def build(inputs, config):
    hidden = keras.layers.Dropout(config.dropout)(keras.layers.Conv2D(4, 3, padding="same")(inputs))
    stems = [keras.layers.Dense(2 * config.num_channels)(hidden) for _ in config.instruments]
    return keras.ops.stack(stems, axis=1)


def register():
    register_network("mine.complex", build, StrictModel, domain="complex")
""",
    "mine-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n",
    "mine-1.0.dist-info/entry_points.txt": "[stemworks.networks]\nmine = mine:register\n",
}
COMPLEX = {
    **WAVEFORMS,
    "model": {"type": "mine.complex", "params": {}},
    "loss_type": "multi_stft",
    "batch_statistics": False,
    "model_choice": "validation_loss",
    "validation_songs": 0,
}


@pytest.fixture
def make_complex_training(make_training, tmp_path):
    """`make_training` of a complex network of one's own."""
    for name, content in PLUGIN.items():
        path = tmp_path / "plugin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def make(name):
        workplace = make_training(tmp_path / name, **COMPLEX)
        path = os.pathsep.join((workplace.environment["PYTHONPATH"], str(tmp_path / "plugin")))
        workplace.environment = workplace.environment | {"PYTHONPATH": path}
        return workplace

    return make


def test_the_same_of_a_complex_network_on_its_own_losses(make_complex_training):
    undisturbed, killed = (make_complex_training(name) for name in ("undisturbed", "killed"))
    undisturbed.finish(TRAIN)
    process = killed.start(TRAIN)
    wait_until(lambda: any(record.step > CHECKPOINT_STEPS for record in records(killed)), process)
    kill_group(process)
    killed.finish(TRAIN)
    assert left_by(killed) == left_by(undisturbed)
    assert killed.leftovers() == []


@LONG
def test_a_full_disk_at_checkpoint_time_keeps_the_last_checkpoint_and_with_more_room_all_is_as_if_nothing_had_been(
    workplace, expected, small_disk, remount
):
    checkpoint = max(len(content) for name, content in expected[0].items() if name.endswith(".npz"))
    # Room for one checkpoint and the best weights, but not for the next checkpoint beside them.
    small_disk(workplace.folder / "runs", 2 * checkpoint)
    result = workplace.run(TRAIN)
    assert result.returncode == 2
    line = said(result.stderr)[-1]
    assert [fact for fact in ("runs/", "No space left on device", "Free some space") if fact not in line] == []
    assert workplace.leftovers() == []

    remount(workplace.folder / "runs", "size=200m")
    workplace.finish(TRAIN)
    weights, measured = left_by(workplace)
    assert (measured, weights) == (expected[1], expected[0])


def assert_names_the_run(line, workplace):
    """The answer to a training of a run that another process trains."""
    assert run_folder(workplace).name in line
    assert "--work-dir" in line


@pytest.mark.parametrize("moment", thoroughly("training", "loading"))
def test_a_second_training_of_the_same_run_is_refused_and_the_first_goes_on(moment, workplace, expected):
    first = workplace.start(TRAIN)
    begun = {"training": lambda: records(workplace), "loading": lambda: run_folder(workplace).is_dir()}[moment]
    wait_until(begun, first)
    # Held where it is: its few steps could be over before the second has loaded its packages.
    first.send_signal(signal.SIGSTOP)
    second = workplace.run(TRAIN)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 2
    assert_names_the_run(said(second.stderr)[-1], workplace)
    first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 0
    assert left_by(workplace) == expected


@LONG
def test_of_two_pipelines_on_one_folder_one_trains_and_the_other_is_refused_in_one_line(
    workplace, undisturbed, expected
):
    both = [workplace.start(TRAIN) for _ in range(2)]
    wait_until(lambda: records(workplace))
    (first,) = (process for process in both if holds_run(process, workplace))
    (second,) = (process for process in both if process is not first)
    # Held where it is: its few steps could be over before the second comes so far.
    suspend(first)
    refused = ended(second)
    resume(first)
    trained = ended(first)
    assert refused.returncode == 2
    *waited, line = said(refused.stderr)
    assert_names_the_run(line, workplace)
    assert [line for line in waited + said(trained.stderr) if "sepcore.system.locks" not in line] == []
    assert trained.returncode == 0, trained.stderr
    workplace.finish(TRAIN)
    assert workplace.contents(CACHE) == undisturbed.contents(CACHE)
    assert left_by(workplace) == expected
    assert len(list(workplace.folder.glob("runs/*"))) == 1
    assert workplace.leftovers() == []


def holds_run(process, workplace):
    """Whether a process has locked the run."""
    return str(run_folder(workplace) / ".lock") in {file.path for file in psutil.Process(process.pid).open_files()}
