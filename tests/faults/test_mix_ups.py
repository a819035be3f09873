"""Commands, configs and interruptions by chance: nothing of one run, cache or model is ever taken for another's.

Each example is a few commands in one folder, some killed before a change of a file that chance picks, some two at a
time. What a command ends well with must be, byte for byte, what it gives alone in an empty folder.
"""

import gzip
import json
import re
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sepcore.training.metrics_log import read_records
from tests.faults.forking import Ended, Forkserver
from tests.faults.workplace import LONG, NUM_KILLS, thoroughly
from tests.models import TINY, small_config, write_model

pytestmark = pytest.mark.slow

RATE, SONG_S = 8000, 3
STEMS = ("vocals", "accompaniment")
SET_SIZES = {"train": 2, "validation": 1, "test": 1}
# A training's changes of files; which of them is the last before a kill is drawn up to here.
MAX_CHANGES = 400
STRANGERS = (
    "pretrained_models/notes.txt",
    "pretrained_models/.tmp-1-notes",
    "training_cache/.tmp-2.txt",
    "training_cache/thesis.tex",
    "runs/notes.txt",
    "runs/.tmp-3",
    "releases/1.0.0/notes.txt",
    "out/.tmp-12345-mine.wav",
    "out/index.html",
)
STRANGER_IN_MODEL_DIR = "pretrained_models/taken/thesis.tex"


@dataclass(frozen=True)
class Choice:
    """What one JSON file says: all that may differ between two trainings of one folder.

    ``name`` is the file's; the rest are its keys. Sets of songs and initial weights lie at the same path whatever they
    hold, as a user's do who edits them.
    """

    name: str = "first"
    songs: int = 0
    validation_songs: int = 0
    test_songs: int = 0
    initial_weights: int | None = None
    random_seed: int = 0
    steps: int = 2
    wiener: bool = False
    model_dir: str | None = None

    def of_weights(self) -> "Choice":
        """Without what decides neither weights nor scores."""
        return replace(self, name="first", model_dir=None)


@dataclass(frozen=True)
class Step:
    """A command.

    Attributes:
        command: Which.
        choice: The JSON file, as it is when the command starts.
        die_before: The change of a file before which it is killed; None: it is not.
        beside_next: Whether the next step starts at once, not at this one's end.
    """

    command: str = "train"
    choice: Choice = Choice()
    die_before: int | None = None
    beside_next: bool = False


CHOICES = st.builds(
    Choice,
    name=st.sampled_from(["first", "second"]),
    songs=st.integers(0, 1),
    validation_songs=st.integers(0, 1),
    test_songs=st.integers(0, 1),
    initial_weights=st.sampled_from([None, 0, 1]),
    random_seed=st.sampled_from([0, 256]),
    steps=st.sampled_from([2, 3]),
    wiener=st.booleans(),
    model_dir=st.sampled_from([None, "mine", "taken"]),
)
STEPS = st.lists(
    st.builds(
        Step,
        command=st.sampled_from(["train", "train", "separate", "publish", "pull"]),
        choice=CHOICES,
        die_before=st.none() | st.integers(1, MAX_CHANGES),
        beside_next=st.booleans(),
    ),
    min_size=2,
    max_size=4,
)


@dataclass(frozen=True)
class Result:
    """What a training has come to."""

    weights: bytes
    validations: tuple[tuple[int, float], ...]
    scores: str

    @classmethod
    def of(cls, run: Path) -> "Result":
        """Read from its folder."""
        records = [record for record in read_records(run / "metrics.jsonl") if "validation_loss" in record.metrics]
        validations = tuple((record.step, record.metrics["validation_loss"]) for record in records)
        stems = json.loads((run / "scores.json").read_text())["stems"]
        return cls(weights_of(run / "model"), validations, json.dumps(stems, sort_keys=True))


class Place:
    """A folder in which commands run."""

    def __init__(self, folder: Path, datasets: Path, server: Forkserver) -> None:
        self.folder, self._datasets, self._server = folder, datasets, server
        folder.mkdir()

    def plant(self) -> dict[str, tuple[bytes, int]]:
        """Put files of the user's own where commands work."""
        for name in (*STRANGERS, STRANGER_IN_MODEL_DIR):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"my own {name}")
        return self.strangers()

    def strangers(self) -> dict[str, tuple[bytes, int]]:
        """Those files: what is in them, and when they were written."""
        paths = {name: self.folder / name for name in (*STRANGERS, STRANGER_IN_MODEL_DIR)}
        return {name: (path.read_bytes(), path.stat().st_mtime_ns) for name, path in paths.items() if path.is_file()}

    def write(self, choice: Choice) -> None:
        """Put everything that a choice speaks of where its JSON says that it is."""
        numbers = {"train": choice.songs, "validation": choice.validation_songs, "test": choice.test_songs}
        for part, number in numbers.items():
            shutil.copy(self._datasets / f"{part}{number}.csv", self.folder / f"{choice.name}-{part}.csv")
        keys = {f"{part}_csv": f"{choice.name}-{part}.csv" for part in numbers}
        if choice.initial_weights is not None:
            initial = self.folder / f"{choice.name}-initial"
            shutil.rmtree(initial, ignore_errors=True)
            shutil.copytree(self._datasets / f"initial{choice.initial_weights}", initial)
            keys["init_from"] = str(initial)
        config = json.loads(small_config(model=TINY, batch_size=1, random_seed=choice.random_seed).to_json())
        config |= keys | {
            "n_chunks_per_song": 1,
            "train_max_steps": choice.steps,
            "save_checkpoints_steps": 1,
            "deterministic": True,
            "MWF": choice.wiener,
            "model_dir": choice.model_dir,
            "augmentation": {"remix": 0.5},
        }
        config = {key: value for key, value in config.items() if value is not None}
        (self.folder / f"{choice.name}.json").write_text(json.dumps(config))

    def start(self, step: Step) -> Callable[[], Ended]:
        """Start a step; what waits for its end."""
        self.write(step.choice)
        running = self._server.start(self.folder, *self._arguments(step), die_before=step.die_before)
        return running.end

    def run(self, step: Step) -> Ended:
        """A step to its end."""
        return self.start(step)()

    def _arguments(self, step: Step) -> list[str]:
        name = step.choice.name
        song = str(self._datasets / "test0" / "song 0" / "mix.wav")
        if step.command == "train":
            return ["train", "-p", f"{name}.json", "-d", str(self._datasets)]
        if step.command == "separate":
            model = step.choice.model_dir or str(newest_run(self.folder, name) or f"{name}.json")
            return ["separate_batch", song, "-p", model if "/" in model else f"{name}.json", "-o", f"out/{name}"]
        if step.command == "publish":
            run = newest_run(self.folder, name) or f"runs/{name}"
            return ["publish", str(run), "--version", f"1.{step.choice.steps}.{step.choice.random_seed}", "--force"]
        return ["models", "pull", step.choice.model_dir or "other"]


def newest_run(folder: Path, name: str) -> Path | None:
    """The run that was written to last, finished or not."""
    configs = sorted(folder.glob(f"runs/{name}-*/config.json"), key=lambda path: path.stat().st_mtime_ns)
    return configs[-1].parent if configs else None


def weights_of(folder: Path) -> bytes:
    """A checkpoint's tensors, every byte."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.data-*")))


def run_named(ended: Ended, folder: Path) -> Path:
    """The run folder that a training says it ended in."""
    (name,) = re.findall(r"^run: (.+)$", ended.said, re.MULTILINE)
    return folder / name


def members_of(tarball: Path) -> list[str]:
    """Read a tarball to its end."""
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    gzip.decompress(tarball.read_bytes())
    return names


def half_written(folder: Path) -> list[str]:
    """Files that a reader of their kind cannot read; temporary ones of a killed process are allowed."""
    readers: dict[str, Callable[[Path], object]] = {
        ".json": lambda path: json.loads(path.read_text("utf-8")),
        ".parquet": pq.read_table,
        ".wav": soundfile.read,
        ".gz": members_of,
    }
    broken = []
    for path in sorted(folder.rglob("*")):
        if path.suffix in readers and path.is_file() and not any(part.startswith(".tmp") for part in path.parts):
            try:
                readers[path.suffix](path)
            except FileNotFoundError:
                continue
            except Exception as error:
                broken.append(f"{path.relative_to(folder)}: {error}")
    return broken


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Two of each set of songs, and two models of other weights."""
    folder = tmp_path_factory.mktemp("datasets")
    rng = np.random.default_rng(0)
    header = ",".join([*(f"{name}_path" for name in ("mix", *STEMS)), "duration"])
    for part, count in SET_SIZES.items():
        for number in (0, 1):
            rows = [header]
            for song in range(count):
                place = Path(f"{part}{number}") / f"song {song}"
                (folder / place).mkdir(parents=True)
                signals = {name: 0.1 * rng.standard_normal((RATE * SONG_S, 2)) for name in STEMS}
                for name, signal in {"mix": sum(signals.values()), **signals}.items():
                    soundfile.write(folder / place / f"{name}.wav", signal, RATE)
                rows.append(",".join([*(f"{place}/{name}.wav" for name in ("mix", *STEMS)), str(SONG_S)]))
            (folder / f"{part}{number}.csv").write_text("\n".join(rows) + "\n")
    for number in (0, 1):
        write_model(folder / f"initial{number}", seed=number, model=TINY)
    return folder


@pytest.fixture(scope="module")
def forkserver(server_environment, datasets, tmp_path_factory):
    """Runs all commands."""
    folder = tmp_path_factory.mktemp("forks")
    missing = {"GITHUB_HOST": str(folder / "mirror"), "GITHUB_REPOSITORY": "me/mine", "GITHUB_RELEASE": "1"}
    (folder / "mirror").mkdir()
    environment = server_environment | missing | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    server = Forkserver(folder, environment)
    yield server
    server.close()


@pytest.fixture(scope="module")
def alone(forkserver, datasets, tmp_path_factory):
    """``alone(choice)``: what a training of it leaves in an empty folder."""

    @cache
    def trained(choice: Choice) -> Result:
        place = Place(tmp_path_factory.mktemp("alone") / "place", datasets, forkserver)
        ended = place.run(Step("train", choice))
        assert ended.code == 0, ended.said
        return Result.of(run_named(ended, place.folder))

    return lambda choice: trained(choice.of_weights())


def check_ended(step: Step, ended: Ended, place: Place, alone, earlier: Sequence[Choice]) -> None:
    """What is true of a command however it ended, and what of one that ended well.

    ``earlier`` are the choices of the trainings before it, whose models may stand in ``model_dir``.
    """
    assert "Traceback" not in ended.said, ended.said
    if step.die_before is None or ended.num_changes < step.die_before - 1:
        assert ended.code in (0, 1, 2), ended.said
    if ended.code != 0 or step.command != "train":
        return
    run = run_named(ended, place.folder)
    result, expected = Result.of(run), alone(step.choice)
    assert result.weights == expected.weights, "the weights are another training's"
    assert result.validations == expected.validations, "validated on other songs"
    assert result.scores == expected.scores, "the scores are of other weights, songs or settings"
    config = json.loads((run / "config.json").read_text())
    assert config.get("MWF", False) == step.choice.wiener
    assert config.get("model_dir") == step.choice.model_dir
    if step.choice.model_dir == "mine" and not step.beside_next:
        there = weights_of(place.folder / "pretrained_models" / "mine")
        others = [alone(choice).weights for choice in earlier if choice.model_dir == "mine"]
        assert there in (result.weights, b"") or (there in others and "holds the model of another" in ended.said)


KNOWN = (
    # Initial weights, Wiener filtering and where the model goes: edited between two runs of one file.
    (
        Step(choice=Choice(initial_weights=0)),
        Step(choice=Choice(initial_weights=1, wiener=True, model_dir="mine")),
        Step(choice=Choice(initial_weights=1, model_dir="taken")),
    ),
    # A leak was removed from the validation set.
    (Step(), Step(choice=Choice(validation_songs=1))),
    # Another file, other songs, the same default cache folder, at the same time.
    (Step(beside_next=True), Step(choice=Choice("second", songs=1))),
    # Two trainings of one model_dir: the first one's model stays there.
    (
        Step(choice=Choice(initial_weights=0, random_seed=256, steps=3, model_dir="mine")),
        Step(choice=Choice(random_seed=256, wiener=True, model_dir="mine")),
    ),
)
"""What once gave another's results, and what this test once took for it."""


@pytest.mark.parametrize("steps", thoroughly(*KNOWN))
def test_commands_that_once_were_mixed_up_are_not(steps, run_steps):
    run_steps(steps)


@LONG
@settings(
    max_examples=3 * NUM_KILLS,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(steps=STEPS)
def test_no_command_gives_what_is_anothers_and_no_file_of_the_users_is_touched(steps, run_steps):
    run_steps(steps)


@pytest.fixture(scope="module")
def run_steps(forkserver, datasets, alone, tmp_path_factory):
    """Runs steps in a folder of their own, and checks all that must be true then."""

    def run(steps):
        place = Place(tmp_path_factory.mktemp("mixed") / "place", datasets, forkserver)
        strangers = place.plant()
        waiting: list[tuple[Step, Callable[[], Ended]]] = []
        trained: list[Choice] = []
        for step in steps:
            if waiting and waiting[-1][0].choice.name == step.choice.name:
                # Its JSON and CSVs would be rewritten under a command that reads them.
                _end_all(waiting, place, alone, trained)
            waiting.append((step, place.start(step)))
            if not step.beside_next:
                _end_all(waiting, place, alone, trained)
        _end_all(waiting, place, alone, trained)

        assert half_written(place.folder) == []
        last = Step("train", steps[-1].choice)
        ended = place.run(last)
        if not (ended.code == 2 and "--fresh" in ended.said):  # an unfinished run of the name has another config
            assert ended.code == 0, ended.said
            check_ended(last, ended, place, alone, trained)
        assert half_written(place.folder) == []
        assert place.strangers() == strangers

    return run


def _end_all(waiting: list[tuple[Step, Callable[[], Ended]]], place: Place, alone, trained: list[Choice]) -> None:
    ends = [(step, end()) for step, end in waiting]
    waiting.clear()
    trained += [step.choice for step, _ in ends if step.command == "train"]
    for step, ended in ends:
        check_ended(step, ended, place, alone, trained)
