"""Small songs, a Prefect server for all commands, and folders to break things in."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.faults.prefect_server import PrefectServer
from tests.faults.workplace import NUM_KILLS, Job, Workplace
from tests.repository import ROOT

RATE = 8000
SECONDS = 12
INSTRUMENTS = ("vocals", "accompaniment")
CONFIG = {
    "train_csv": "train.csv",
    "validation_csv": "validation.csv",
    "instrument_list": INSTRUMENTS,
    "sample_rate": RATE,
    "frame_length": 512,
    "frame_step": 128,
    "T": 64,
    "F": 64,
    "chunk_duration": 2,
    "n_chunks_per_song": 4,
    "batch_size": 1,
    "model": {"type": "unet.unet", "params": {"conv_n_filters": [2, 3, 4, 5, 6, 7]}},
}


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A Prefect server for all commands: without one each would start its own, for seconds."""
    server = PrefectServer(tmp_path_factory.mktemp("prefect"))
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture(scope="session")
def server_environment(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of commands that find `prefect_server`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    home = tmp_path_factory.mktemp("home")
    return kept | {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(home), "PREFECT_API_URL": prefect_server.url}


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with configs, CSVs and songs; more songs where more kills have to find a moment."""
    folder = tmp_path_factory.mktemp("dataset")
    rng = np.random.default_rng(0)
    num_songs = max(8, 2 * NUM_KILLS)
    header = ",".join([*(f"{name}_path" for name in ("mix", *INSTRUMENTS)), "duration"])
    for csv, count in (("train", num_songs), ("validation", 2)):
        rows = [header]
        for number in range(count):
            song = Path(csv) / f"song {number}"
            stems = {name: noise(rng, RATE) for name in INSTRUMENTS}
            write_song(folder / song, {"mix": sum(stems.values()), **stems}, RATE)
            rows.append(",".join([*(f"{song}/{name}.wav" for name in ("mix", *INSTRUMENTS)), str(SECONDS)]))
        (folder / f"{csv}.csv").write_text("\n".join(rows) + "\n")
    for number in range(num_songs):
        # At another rate and without mixtures: three files to be made of each.
        stems = {name: noise(rng, 2 * RATE) for name in INSTRUMENTS}
        write_song(folder / "recordings" / f"Artist {number} - Song", stems, 2 * RATE)
    forms = {
        "config": {"cache_format": "tfrecord"},
        "parquet": {"cache_format": "parquet"},
        "waveform": {"cache_content": "waveform", "n_chunks_per_song": "all"},
    }
    for name, keys in forms.items():
        (folder / f"{name}.json").write_text(json.dumps(CONFIG | keys))
    return folder


def noise(rng: np.random.Generator, rate: int) -> NDArray[np.int16]:
    """Stereo, so loud that two of it do not clip."""
    return rng.integers(-9000, 9000, (rate * SECONDS, 2), np.int16)


def write_song(folder: Path, signals: dict[str, NDArray[np.int16]], rate: int) -> None:
    """A wav file for each signal."""
    folder.mkdir(parents=True)
    for name, samples in signals.items():
        soundfile.write(folder / f"{name}.wav", samples, rate)


@pytest.fixture(scope="session")
def make_workplace(dataset: Path, server_environment: dict[str, str]) -> Iterator[Callable[[Path], Workplace]]:
    """``make_workplace(folder)`` copies the dataset to a new folder; what was started there ends with the session."""
    made: list[Workplace] = []

    def make(folder: Path) -> Workplace:
        shutil.copytree(dataset, folder, dirs_exist_ok=True)
        made.append(Workplace(folder, server_environment))
        return made[-1]

    yield make
    for workplace in made:
        workplace.stop_all()


@pytest.fixture
def workplace(make_workplace: Callable[[Path], Workplace], tmp_path: Path) -> Workplace:
    """A folder of the test's own."""
    return make_workplace(tmp_path / "work")


@dataclass(frozen=True)
class Uninterrupted:
    """What a job that nothing disturbs makes.

    Attributes:
        workplace: Where it ran.
        contents: Every byte that it made.
        num_checked: Songs that it checked before.
    """

    workplace: Workplace
    contents: dict[str, bytes]
    num_checked: int


@pytest.fixture(scope="session")
def uninterrupted(
    make_workplace: Callable[[Path], Workplace], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Job], Uninterrupted]:
    """``uninterrupted(job)`` is a run that nothing disturbs, made once."""

    @cache
    def run(job: Job) -> Uninterrupted:
        workplace = make_workplace(tmp_path_factory.mktemp("uninterrupted") / "work")
        workplace.finish(job)
        num_checked = sum(
            len(csv.read_text().splitlines()) - 1
            for csv in workplace.folder.glob("*.csv")
            if csv.with_suffix(".check.parquet").exists()
        )
        return Uninterrupted(workplace, workplace.contents(job), num_checked)

    return run


@pytest.fixture
def small_disk(tmp_path):
    """``small_disk(folder, num_bytes)`` mounts a file system of that size there; skips where that is not allowed."""
    mounted = []

    def mount(folder, num_bytes):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "stemworks", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"a small file system cannot be mounted here: {getattr(error, 'stderr', error)}")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def remount():
    """``remount(folder, options)`` changes a mounted file system."""

    def change(folder: Path, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)

    return change
