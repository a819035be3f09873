"""Every command as the process that a user starts: its help, and what it says of the user's mistakes."""

import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from flows.support.command import guarded
from sepcore.errors import ProviderError
from sepcore.provider.archive import pack_archive

pytestmark = pytest.mark.slow

COMMANDS = {
    "quickstart": ["--max-steps"],
    "ingest": [
        *("--musdb-root", "--stems-root", "--out", "-p", "--split", "--validation-fraction", "--test-fraction"),
        *("--runner", "--scheduler", "--workers"),
    ],
    "augment": [
        *("-p", "-d", "--out", "--pitch", "--tempo", "--method", "--train-csv", "--dry-run"),
        *("--runner", "--scheduler", "--workers"),
    ],
    "cache": ["-p", "-d", "--runner", "--scheduler", "--workers", "--dry-run", "--verify", "--prune", "--keep-for"],
    "check": ["CSV", "-p", "-d", "--report", "--workers", "--template"],
    "inspect": ["-p", "-d", "--part", "--song", "--chunk", "--row", "-o"],
    "train": [
        *("-p", "-d", "--musdb-root", "--max-steps", "--init-from", "--fresh", "--force", "--version", "--releases"),
        "--work-dir",
    ],
    "evaluate": [
        *("-p", "--mus_dir", "--csv", "-o", "--mwf", "-d", "--estimates", "--baselines", "--engine", "--listen"),
        *("--runner", "--scheduler", "--workers"),
    ],
    "compare": ["A", "B", "--metric", "--margin", "--strict", "--confidence", "--resamples", "--seed", "--out"],
    "models": ["pull", "list", "verify"],
    "export": ["MODEL", "--format", "-o", "--overwrite"],
    "publish": [
        *("RUN", "--version", "--models", "--releases", "--margin", "--force", "--github", "--work-dir"),
    ],
    "reproduce": [
        *("RELEASE|RUN", "--musdb-root", "--train-csv", "--validation-csv", "--test-csv", "--init-from", "-d"),
        "--work-dir",
    ],
    "separate_batch": [
        *("-o", "--output_path", "-p", "--params_filename", "-f", "--filename_format", "-s", "--offset"),
        *("-d", "--duration", "-c", "--codec", "-b", "--bitrate", "--mwf", "--bits", "--overwrite", "--dry-run"),
        *("--stems", "--residual", "--sample-rate", "--mono", "--clipping", "--page", "--engine", "--overlap"),
        *("--shifts", "--precision", "--workers", "--runner", "--scheduler"),
    ],
    "watch": ["FOLDER", "-o", "-p", "--every", "-c", "--stems", "--engine"],
}
SLOW_PACKAGES = {"tensorflow", "keras", "prefect", "mlflow", "pandas", "musdb", "museval"}
CONFIG = {
    "train_csv": "train.csv",
    "validation_csv": "train.csv",
    "instrument_list": ["vocals", "accompaniment"],
    "sample_rate": 8000,
    "frame_length": 512,
    "frame_step": 128,
    "T": 64,
    "F": 64,
    "chunk_duration": 2,
    "model": {"type": "unet.unet", "params": {"conv_n_filters": [2, 3, 4, 5, 6, 7]}},
}


def write_wav(path, seconds=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(0).uniform(-0.3, 0.3, (round(8000 * seconds), 2)), 8000)


def write_csv(path, header, *rows):
    path.write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture
def here(tmp_path):
    """A working folder with a song, configs, CSVs and what goes wrong with them."""
    write_wav(tmp_path / "song.wav")
    write_wav(tmp_path / "more" / "song.wav")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.txt").touch()
    (tmp_path / "file").touch()
    for name, content in {
        "config": CONFIG,
        "typo": {"frame_stpe": 1024, **CONFIG},
        "wrong_columns": {**CONFIG, "train_csv": "wrong_columns.csv"},
        "wide": {**CONFIG, "F": 128},
        "changed": {**CONFIG, "learning_rate": 0.5},
        "no_csv": {**CONFIG, "train_csv": "missing.csv"},
        "csv_at_url": {**CONFIG, "train_csv": "s3://bucket/train.csv"},
        "no_test_csv": {**CONFIG, "test_csv": "missing_test.csv"},
        "short_chunks": {key: value for key, value in CONFIG.items() if key != "chunk_duration"} | {"T": 64_000},
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "broken.json").write_text("{not JSON")
    header = "mix_path,vocals_path,accompaniment_path,duration"
    write_csv(tmp_path / "train.csv", header, "song.wav,song.wav,song.wav,1")
    write_csv(tmp_path / "wrong_columns.csv", "mix_path,vocals_path,duration", "song.wav,song.wav,1")
    write_csv(tmp_path / "no_songs.csv", header)
    for name in ("mixture", "vocals", "drums", "bass", "other"):
        (tmp_path / "musdb" / "train" / "A - B").mkdir(parents=True, exist_ok=True)
        (tmp_path / "musdb" / "train" / "A - B" / f"{name}.wav").touch()
        (tmp_path / "stems" / "A - B").mkdir(parents=True, exist_ok=True)
        (tmp_path / "stems" / "A - B" / f"{name}.wav").touch()
    run = tmp_path / "runs" / "config-123456"
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps(CONFIG))
    unfinished = tmp_path / "runs" / "changed-0123456789ab"
    (unfinished / "checkpoints").mkdir(parents=True)
    (unfinished / "checkpoints" / "step-3.npz").touch()
    (unfinished / "config.json").write_text(json.dumps(CONFIG))
    training = {"training": {"name": "tuned", "dataset": "abc", "facts": {}}}
    config = CONFIG | {"init_from": "/elsewhere/base"}
    members = {"config.json": json.dumps(config).encode(), "metrics.json": json.dumps(training).encode()}
    pack_archive(members, tmp_path / "tuned.tar.gz")
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_the_options(run, name):
    result = run(name, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"Usage: python -m flows.{name}" in result.stdout
    assert not [option for option in COMMANDS[name] if not re.search(rf"(?<![\w-]){option}(?![\w-])", result.stdout)]


def test_help_of_separate_batch_waits_for_no_slow_package(tmp_path, environment):
    command = [sys.executable, "-X", "importtime", "-m", "flows.separate_batch", "--help"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "flows" in imported
    assert not imported & SLOW_PACKAGES


MISTAKES = {
    # What is separated
    "separate_batch nothing.wav -o out": "nothing.wav:",
    "separate_batch s3://bucket/x -o out": "s3://bucket/x URL path",
    "separate_batch song.wav -o gs://bucket/x": "gs://bucket/x URL path",
    "separate_batch text -o out": "text: audio",
    "separate_batch song.wav -o out -p 6stems": "6stems 2stems JSON",
    "separate_batch song.wav -o out -p typo.json": "typo.json: frame_stpe frame_step",
    "separate_batch song.wav -o out -p broken.json": ("broken.json:", "line 1"),
    "separate_batch song.wav -o out -p config.json": "config.json checkpoint",
    "separate_batch song.wav -o file/out -p MODEL": "file/out: -o",
    "separate_batch song.wav more -o out -p MODEL": "song.wav more/song.wav vocals.wav",
    "separate_batch song.wav -o out -p MODEL -f {title}": "{title} {filename} {instrument}",
    "separate_batch song.wav -o out -s -1": ("--offset", "-1", "at least 0"),
    "separate_batch song.wav -o out -d 0": ("--duration", "more than 0"),
    "separate_batch song.wav -o out -c mp4": "--codec mp4 wav flac mp3 stem.mp4",
    "separate_batch song.wav -o out -c mp3 --bits 24": "--bits wav flac mp3 --bitrate",
    "separate_batch song.wav -o out --stems ,": "--stems: ',' vocals,drums",
    "separate_batch song.wav -o out --sample-rate 48k": "--sample-rate: 48k source Hz 48000",
    "separate_batch song.wav -o out --clipping hard": "--clipping hard rescale clamp none",
    "separate_batch song.wav -o out --engine gpu": "--engine gpu auto openvino tensorflow",
    "separate_batch song.wav -o out --overlap 1": ("--overlap", "1", "0 to 0.9"),
    "separate_batch song.wav -o out --shifts 0": ("--shifts", "0", "1 to 64"),
    "separate_batch song.wav -o out --precision int8": "--precision int8 float32 bfloat16",
    "separate_batch song.wav -o out --workers 0": ("--workers", "0", "at least 1"),
    "separate_batch song.wav -o out --runner dask": ("--runner dask", "--scheduler"),
    "separate_batch song.wav -o out --runner dask --scheduler tcp://127.0.0.1:9": "--scheduler tcp://127.0.0.1:9",
    "watch text -o out --every 0": ("--every", "0", "1 to 86400"),
    "watch nowhere -o out": "nowhere:",
    "separate_batch song.wav": "-o/--output_path",
    "separate_batch song.wav -o out --overwrit": "--overwrit: --overwrite",
    "separate_batch song.wav -o out -c": "-c: value",
    "separate_batch song.wav -o out --shifts two": ("--shifts", "two", "whole number"),
    "separate_batch song.wav -o out --overlap half": "--overlap half number",
    "train -p config.json more": "more:",
    "models pul 2stems": "ACTION pul pull list verify",
    # What is trained on
    "cache -p typo.json": "typo.json: frame_stpe frame_step",
    "cache -p wrong_columns.json": "wrong_columns.csv: accompaniment_path",
    "cache -p no_csv.json": ("missing.csv:", "No such file"),
    "cache -p csv_at_url.json": "csv_at_url.json: train_csv s3://bucket/train.csv URL path",
    "cache -p config.json --scheduler tcp://127.0.0.1:9": ("--scheduler", "--runner dask"),
    "cache -p config.json --runner dask": ("--runner dask", "--scheduler"),
    "cache -p config.json --runner dask --scheduler here": "--scheduler here tcp://HOST:PORT",
    "cache -p config.json --runner dask --scheduler tcp://127.0.0.1:9": "--scheduler tcp://127.0.0.1:9",
    "cache -p config.json --workers 0": ("--workers", "0", "at least 1"),
    "cache -p config.json --keep-for 2stems": "--keep-for --prune",
    "cache -p config.json --dry-run --verify": "--dry-run --verify",
    "check missing.csv": ("missing.csv:", "No such file"),
    "inspect -p config.json -o picture.png": "training_cache/index.parquet:",
    "train -p typo.json": "typo.json: frame_stpe frame_step",
    "train -p no_csv.json": ("missing.csv:", "No such file"),
    "train -p no_test_csv.json": ("missing_test.csv:", "No such file"),
    "train -p short_chunks.json": "chunk_duration 20 T 64000",
    "train -p config.json --work-dir file/runs": "file/runs: --work-dir",
    "train -p config.json --max-steps 0": ("--max-steps", "0", "at least 1"),
    "train -p config.json --init-from 6stems": "6stems 2stems JSON",
    "train -p wide.json --init-from MODEL": ("128", "F", "64"),
    "train -p config.json --fresh --force": "--fresh --force",
    "train -p changed.json": ("runs/changed-0123456789ab:", "step 3", "learning_rate", "0.5", "--fresh", "--force"),
    "train -p config.json --version 1.0": "--version: 1.0 1.2.0",
    "train -p config.json --musdb-root text": "text: train MUSDB18",
    "train -p config.json --musdb-root musdb -d .": "-d --musdb-root",
    "quickstart --max-steps 0": ("--max-steps", "0", "at least 1"),
    "ingest --musdb-root text --out out": "text: train test MUSDB18",
    "ingest --musdb-root musdb --out file/out": "file/out: --out",
    "ingest --out out": "--musdb-root MUSDB18 MUSDB_PATH --stems-root",
    "ingest --stems-root nowhere --out out": "nowhere:",
    "ingest --stems-root text --out out": "text: <song>/<instrument>.wav",
    "ingest --stems-root stems --out out -p 5stems": ("A - B", "piano", "bass", "instrument_mapping"),
    "ingest --stems-root stems --out out": ("(1)", "fraction of 0"),
    "ingest --stems-root stems --musdb-root musdb --out out": "--musdb-root --stems-root",
    "ingest --stems-root stems --out out --split musdb": "--split musdb --musdb-root own fraction artist --stems-root",
    "ingest --stems-root stems --out out --split own": ("train, validation and test", "1", "A - B", "--split"),
    "ingest --stems-root stems --out out --split fraction --test-fraction 1": (
        "--test-fraction",
        "1",
        "0 to less than 1",
    ),
    "ingest --musdb-root musdb --out out --test-fraction 0.2": "--test-fraction --split fraction artist",
    "ingest --musdb-root musdb --out out -p typo.json": "typo.json: frame_stpe frame_step",
    # What is varied
    "augment -p config.json --out out": "--pitch --tempo",
    "augment -p config.json --out out --pitch -13": ("--pitch", "-13", "-12 to 12"),
    "augment -p config.json --out out --pitch two": "--pitch number",
    "augment -p config.json --out out --pitch 2 --pitch 2": ("--pitch 2", "twice"),
    "augment -p config.json --out out --tempo 1": ("--tempo", "1", "0.5 to 2"),
    "augment -p config.json --out out --pitch 12 --tempo 2 --method resample": ("--pitch 12", "--tempo 2", "resample"),
    "augment -p config.json --out out --pitch 2 --method slow": "--method slow auto rubberband resample",
    "augment -p config.json --out file/out --pitch 2": "file/out: --out",
    "augment -p config.json --out . --pitch 2": "train.csv: --out",
    "augment -p config.json --out out --pitch 2 --train-csv missing.csv": ("missing.csv:", "No such file"),
    "augment -p no_csv.json --out out --pitch 2": ("missing.csv:", "No such file"),
    "augment -p 2stems --out out --pitch 2": ("path/to/train.csv:", "No such file"),
    # What is exported
    "export MODEL -o out": "--format savedmodel onnx",
    "export MODEL --format tflite -o out": "--format tflite savedmodel onnx sherpa-onnx",
    "export MODEL --format onnx": "-o/--output",
    "export 6stems --format onnx -o out": "6stems 2stems JSON",
    "export typo.json --format onnx -o out": "typo.json: frame_stpe frame_step",
    "export config.json --format onnx -o out": "config.json checkpoint",
    "export MODEL --format onnx -o file": "file: folder",
    "export MODEL --format onnx -o file/out": "file/out:",
    "export MODEL --format onnx -o text --overwrite": "text: notes.txt",
    "export MODEL --format onnx -o .": ".: folder",
    "export MODEL --format sherpa-onnx -o out": "sample_rate 8000 sherpa-onnx 44100",
    "export 4stems --format sherpa-onnx -o out": ("instrument_list", "vocals, drums, bass, other", "sherpa-onnx"),
    # What is scored and published
    "evaluate -p MODEL --csv missing.csv -o out": ("missing.csv:", "No such file"),
    "evaluate -p MODEL --csv s3://bucket/test.csv -o out": "s3://bucket/test.csv URL path",
    "evaluate -p MODEL --csv train.csv -o out --runner dask": ("--runner dask", "--scheduler"),
    "evaluate -p MODEL --csv no_songs.csv -o out": "no_songs.csv: songs",
    "evaluate -p MODEL --mus_dir musdb -o out": "musdb: test MUSDB18",
    "evaluate -p MODEL --csv train.csv -o file": "file: -o",
    "evaluate -p MODEL -o out": "--mus_dir --csv MUSDB_PATH",
    "evaluate --csv train.csv -o out": "-p --estimates --baselines",
    "evaluate --csv train.csv -o out --baselines best": "--baselines best mixture irm",
    "evaluate --csv train.csv -o out --estimates nowhere": "nowhere:",
    "evaluate -p MODEL --csv train.csv -o out --estimates text": "text: test/<track>",
    "evaluate --csv train.csv -o out --estimates runs": "runs: stems",
    "evaluate --csv train.csv -o out --estimates runs --mwf": "--mwf -p --estimates",
    "publish nosuch --version 1.0.0": "nosuch runs changed-0123456789ab config-123456",
    "publish config-123456 --version 1.0.0": "runs/config-123456: training",
    "reproduce tuned.tar.gz": "tuned base --init-from",
    "publish config-123456 --version latest": "--version: latest 1.2.0",
}
"""What each command is told, and the facts that its answer names: in one string, or with spaces in some."""


def lacking(text, facts):
    """Which facts a text does not name, each as a word or words of its own."""
    each = facts.split() if isinstance(facts, str) else facts
    return [fact for fact in each if not re.search(rf"(?<![\w.-]){re.escape(fact)}(?!\.?\w)", text)]


def assert_is_one_line(result, facts):
    """The end of a command that was told something wrong, which its line names."""
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert not lacking(result.stderr, facts), result.stderr
    assert (result.returncode, result.stdout) == (2, "")


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_answered_with_one_line_before_anything_is_made(here, run, model, command):
    before = sorted(here.rglob("*"))
    result = run(*command.replace("MODEL", str(model)).split())
    assert_is_one_line(result, MISTAKES[command])
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    "command",
    ["separate_batch song.wav -o out", "cache -p config.json", "train -p config.json", "quickstart",
     "ingest --musdb-root musdb --out out", "augment -p config.json --out out --pitch 2",
     "evaluate -p MODEL --csv train.csv -o out"],
)  # fmt: skip
def test_without_ffmpeg_a_command_says_how_to_install_it(here, run, model, command):
    result = run(*command.replace("MODEL", str(model)).split(), PATH="/nowhere")
    assert_is_one_line(result, ("ffmpeg", "PATH", "apt install ffmpeg"))


def test_a_prefect_server_that_does_not_answer_is_one_line(here, run, model):
    nobody = "http://127.0.0.1:9/api"
    result = run("separate_batch", "song.wav", "-o", "out", "-p", model, PREFECT_API_URL=nobody)
    assert_is_one_line(result, (nobody, "prefect server start", "PREFECT_API_URL"))


def half_written(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


def test_bad_files_in_a_folder_do_not_stop_the_others_and_a_table_says_why(run, model, tmp_path):
    write_wav(tmp_path / "songs" / "deep" / "good.wav", seconds=3)
    (tmp_path / "songs" / "text.mp3").write_text("not music")
    (tmp_path / "songs" / "empty.wav").touch()
    result = run("separate_batch", "songs", "-o", "out", "-p", model)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    table = " ".join(re.sub(r"[│┃]", " ", result.stdout).split())
    assert "2 of 3 failed" in table
    # The reason does not repeat the file.
    assert [table.count(f"songs/{name}") for name in ("empty.wav", "text.mp3", "deep/good.wav")] == [1, 1, 0]
    assert lacking(table, ("0 bytes", "ffmpeg")) == []
    assert "3 songs in out: 1 done, 0 skipped, 2 failed" in table
    assert "3 s of audio separated in" in table
    files = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("*.wav"))
    assert files == ["out/deep/good/accompaniment.wav", "out/deep/good/vocals.wav"]
    assert [soundfile.info(tmp_path / file).duration for file in files] == [3, 3]
    assert {path.name for path in half_written(tmp_path / "out")} == {".separated"}
    assert not (tmp_path / "out" / "text").exists()


def test_ctrl_c_ends_in_one_line_with_nothing_half_written(model, tmp_path, environment):
    # Two hours: still being separated when the signal comes.
    soundfile.write(tmp_path / "long.flac", np.zeros((8000 * 7200, 2), np.int16), 8000)
    command = [sys.executable, "-m", "flows.separate_batch", "long.flac", "-o", "out", "-p", str(model)]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while not half_written(tmp_path) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr.splitlines()[-1].lower().startswith("interrupted")
    assert "Traceback" not in stderr
    assert stdout == ""
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_recording_that_cannot_be_decoded_stops_caching_with_one_line_that_names_it(here, run):
    (here / "song.wav").write_text("not music")
    result = run("cache", "-p", "config.json")
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    last_line = result.stderr.splitlines()[-1]
    assert last_line.startswith("train.csv: ")
    assert not lacking(last_line, ("row 1", "song.wav", "ffmpeg")), last_line
    assert not (here / "training_cache").exists()


def test_what_a_server_answers_sends_no_commands_to_the_terminal(capsys):
    def work():
        raise ProviderError("404 \x1b]0;owned\x07\x1b[2J\nsecond line")

    assert guarded(work) == ProviderError("").exit_code
    assert capsys.readouterr().err == "404 \\x1b]0;owned\\x07\\x1b[2J\nsecond line\n"
