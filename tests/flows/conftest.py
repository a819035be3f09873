"""Commands as real processes, and a small model for them."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import distributed
import httpx
import pytest

from sepcore.dataset.synthetic.dataset import generate_song
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from sepcore.signal.audio_writer import write_audio
from tests.canaries import SECRETS
from tests.models import randomize, small_config
from tests.repository import ROOT

# What a developer may have set and a test must not meet.
_FOREIGN = ("PREFECT_", "MLFLOW_", "GITHUB_", "MODEL_PATH", "MUSDB_PATH", "FFMPEG_PATH")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of the commands: this checkout, and a Prefect home of their own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    return kept | SECRETS | {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect"))}


@pytest.fixture(scope="session")
def prefect_server(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Prefect server's API, which wants the credential that all commands have in their environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path_factory.mktemp("server")}
    variables = environment | {"PREFECT_HOME": str(tmp_path_factory.mktemp("server-home"))}
    variables |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    variables |= {"PREFECT_SERVER_API_AUTH_STRING": SECRETS["PREFECT_API_AUTH_STRING"]}
    server = subprocess.Popen(command, env=variables, **quiet)
    url = f"http://127.0.0.1:{port}/api"
    deadline = time.monotonic() + 120
    try:
        while not _answers(f"{url}/health"):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture(scope="session")
def scheduler(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], prefect_server: str
) -> Iterator[str]:
    """Address of a Dask scheduler with two worker processes, none of them a child of the command's."""
    with dask_cluster(tmp_path_factory.mktemp("dask"), environment, prefect_server) as (address, _):
        yield address


@contextmanager
def dask_cluster(
    folder: Path, environment: dict[str, str], prefect_server: str
) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """Address of a Dask scheduler, and its two worker processes, whose working directory is ``folder``."""
    file = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    variables = environment | {"DASK_DISTRIBUTED__WORKER__DAEMON": "False", "PREFECT_API_URL": prefect_server}
    local = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    worker = ["worker", "--host", "127.0.0.1", "--no-dashboard", "--nthreads", "1", "--no-nanny"]
    started = [
        subprocess.Popen([sys.executable, "-m", "dask", "scheduler", "--port", "0", *local], env=variables, **quiet)
    ]
    started += [
        subprocess.Popen([sys.executable, "-m", "dask", *worker, "--scheduler-file", str(file)], env=variables, **quiet)
        for _ in range(2)
    ]
    try:
        with distributed.Client(scheduler_file=str(file), timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
        yield json.loads(file.read_text())["address"], started[1:]
    finally:
        for process in started:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Run:
    """``run("train", "-p", …)`` runs ``python -m flows.train -p …`` in the test's folder; keywords are variables."""

    def command(name: str, *arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", f"flows.{name}", *map(str, arguments)],
            cwd=tmp_path,
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return command


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small two-stem model at 8 kHz: config.json and model/."""
    folder = tmp_path_factory.mktemp("small")
    network = build_network(small_config())
    randomize(network)
    write_checkpoint(network, folder / "model", step=1)
    (folder / "config.json").write_text(json.dumps(json.loads(small_config().to_json())))
    return folder


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with six songs of 4 s at 22 kHz, train.csv (five of them), validation.csv and config.json (8 kHz).

    To be copied by whoever runs a command on it: what a check left there, the next test would find.
    """
    folder = tmp_path_factory.mktemp("dataset")
    names = ["mix", "vocals", "drums", "bass", "other"]
    lines = [",".join([*(f"{name}_path" for name in names), "duration"])]
    for seed in range(6):
        stems = generate_song(seed, duration_s=4, sample_rate=22050)
        stems["other"] += stems.pop("piano")
        for name, waveform in {"mix": sum(stems.values()), **stems}.items():
            write_audio(folder / f"song{seed}" / f"{name}.wav", waveform, sample_rate=22050)
        lines.append(",".join([*(f"song{seed}/{name}.wav" for name in names), "4"]))
    (folder / "train.csv").write_text("\n".join(lines[:-1]) + "\n")
    (folder / "validation.csv").write_text("\n".join([lines[0], lines[-1]]) + "\n")
    csvs = {"train_csv": "train.csv", "validation_csv": "validation.csv"}
    config = small_config(**csvs, instrument_list=names[1:], n_chunks_per_song=2, chunk_duration=2.5)
    (folder / "config.json").write_text(config.to_json())
    made = sorted(folder.rglob("*"))
    yield folder
    assert sorted(folder.rglob("*")) == made
