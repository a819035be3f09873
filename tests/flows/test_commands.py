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
    "separate_batch nothing.wav -o out": r"nothing\.wav: no such file or folder; check the name\.",
    "separate_batch s3://bucket/x -o out": r"s3://bucket/x is a URL, a path is needed; mount the store as a file",
    "separate_batch song.wav -o gs://bucket/x": r"gs://bucket/x is a URL, a path is needed; mount the store",
    "separate_batch text -o out": r"text: no audio files in this folder; give one that has some, or name the files\.",
    "separate_batch song.wav -o out -p 6stems": r"6stems: no such model or file; .*give one of .*2stems.*, a JSON file",
    "separate_batch song.wav -o out -p typo.json": r"frame_stpe is not a known key; did you mean frame_step\?",
    "separate_batch song.wav -o out -p broken.json": r"broken\.json: not valid JSON, line 1",
    "separate_batch song.wav -o out -p config.json": r"config\.json: no complete checkpoint .* train the model first",
    "separate_batch song.wav -o file/out -p MODEL": r"file/out: cannot be written to .*choose another folder with -o",
    "separate_batch song.wav more -o out -p MODEL": r"song\.wav and more/song\.wav would both write .*vocals\.wav",
    "separate_batch song.wav -o out -p MODEL -f {title}": r"'\{title\}' cannot be used .*\{filename\}, \{instrument\}",
    "separate_batch song.wav -o out -s -1": r"--offset is -1; give at least 0",
    "separate_batch song.wav -o out -d 0": r"--duration is 0; give more than 0",
    "separate_batch song.wav -o out -c mp4": r"--codec is mp4; give one of wav, flac, .*; did you mean",
    "separate_batch song.wav -o out -c mp3 --bits 24": r"--bits is for wav and flac; mp3 takes --bitrate",
    "separate_batch song.wav -o out --stems ,": r"--stems: ',' names no stem; give e\.g\. vocals,drums",
    "separate_batch song.wav -o out --sample-rate 48k": r"'48k' is neither source nor a rate in Hz such as 48000",
    "separate_batch song.wav -o out --clipping hard": r"--clipping is hard; give one of rescale, clamp, none",
    "separate_batch song.wav -o out --engine gpu": r"--engine is gpu; give one of auto, openvino, tensorflow",
    "separate_batch song.wav -o out --overlap 1": r"--overlap is 1; give 0 to 0\.9",
    "separate_batch song.wav -o out --shifts 0": r"--shifts is 0; give 1 to 64",
    "separate_batch song.wav -o out --precision int8": r"--precision is int8; give one of float32, bfloat16",
    "separate_batch song.wav -o out --workers 0": r"--workers is 0; give at least 1",
    "separate_batch song.wav -o out --runner dask": r"--runner dask needs --scheduler URL",
    "separate_batch song.wav -o out --runner dask --scheduler tcp://127.0.0.1:9": r"127\.0\.0\.1:9: nothing answers",
    "watch text -o out --every 0": r"--every is 0; give 1 to 86400",
    "watch nowhere -o out": r"nowhere: no such folder; make it, or check the name",
    "separate_batch song.wav": r"-o/--output_path is missing: Stems go here\.",
    "separate_batch song.wav -o out --overwrit": r"--overwrit: no such option; did you mean --overwrite\?",
    "separate_batch song.wav -o out -c": r"-c: needs a value",
    "separate_batch song.wav -o out --shifts two": r"--shifts is two; give a whole number",
    "separate_batch song.wav -o out --overlap half": r"--overlap is half; give a number",
    "train -p config.json more": r"more: not expected",
    "models pul 2stems": r"ACTION is pul; give one of pull, list, verify; did you mean pull\?",
    # What is trained on
    "cache -p typo.json": r"frame_stpe is not a known key; did you mean frame_step\?",
    "cache -p wrong_columns.json": r"wrong_columns\.csv: lacks the column\(s\) accompaniment_path",
    "cache -p no_csv.json": r"missing\.csv: cannot be read as a manifest \(No such file",
    "cache -p csv_at_url.json": r"csv_at_url\.json: train_csv: s3://bucket/train\.csv is a URL, a path is needed",
    "cache -p config.json --scheduler tcp://127.0.0.1:9": r"--scheduler is for --runner dask; add it, or leave",
    "cache -p config.json --runner dask": r"--runner dask needs --scheduler URL, the address that `dask",
    "cache -p config.json --runner dask --scheduler here": r"--scheduler is 'here'; expected tcp://HOST:PORT",
    "cache -p config.json --runner dask --scheduler tcp://127.0.0.1:9": r"127\.0\.0\.1:9: nothing answers there",
    "cache -p config.json --workers 0": r"--workers is 0; give at least 1",
    "cache -p config.json --keep-for 2stems": r"--keep-for is for --prune; add it, or leave --keep-for out",
    "cache -p config.json --dry-run --verify": r"--dry-run changes nothing, --verify mends; leave one of them out",
    "check missing.csv": r"missing\.csv: cannot be read as a manifest \(No such file",
    "inspect -p config.json -o picture.png": r"training_cache.index\.parquet: there is no such index",
    "train -p typo.json": r"frame_stpe is not a known key; did you mean frame_step\?",
    "train -p no_csv.json": r"missing\.csv: cannot be read as a manifest \(No such file",
    "train -p no_test_csv.json": r"missing_test\.csv: cannot be read as a manifest",
    "train -p short_chunks.json": r"chunk_duration is 20 s; T = 64000 frames need .*Raise chunk_duration or lower T",
    "train -p config.json --work-dir file/runs": r"file/runs: cannot be written to .* with --work-dir",
    "train -p config.json --max-steps 0": r"--max-steps is 0; give at least 1",
    "train -p config.json --init-from 6stems": r"6stems: no such model or file; .*give one of .*2stems",
    "train -p wide.json --init-from MODEL": r"whose F is 64; this config's is 128, .*Set F to 64, or leave",
    "train -p config.json --fresh --force": r"--fresh starts a new run, --force goes on in the old one",
    "train -p changed.json": r"at step 3 and was trained with learning_rate as by default \(now 0\.5\); put that back",
    "train -p config.json --version 1.0": r"--version: 1\.0 is not a semantic version such as 1\.2\.0",
    "train -p config.json --musdb-root text": r"text: has no songs in a folder train; give the folder of MUSDB18",
    "train -p config.json --musdb-root musdb -d .": r"-d is for the config's CSVs; leave it out with --musdb-root",
    "quickstart --max-steps 0": r"--max-steps is 0; give at least 1",
    "ingest --musdb-root text --out out": r"text: has no folder train or test; give the folder of MUSDB18",
    "ingest --musdb-root musdb --out file/out": r"file/out: cannot be written to .* with --out",
    "ingest --out out": r"--musdb-root is missing: give the folder of MUSDB18, or set MUSDB_PATH; --stems-root is for",
    "ingest --stems-root nowhere --out out": r"nowhere: no such folder; give the folder that holds the songs' folders",
    "ingest --stems-root text --out out": r"text: no songs found; looked for audio files <song>/<instrument>\.wav",
    "ingest --stems-root stems --out out -p 5stems": r"A - B has no piano \(it has bass, .*\)\. .*instrument_mapping",
    "ingest --stems-root stems --out out": r"too few songs to share out \(1\); leave a split out with a fraction of 0",
    "ingest --stems-root stems --musdb-root musdb --out out": r"--musdb-root and --stems-root are both given",
    "ingest --stems-root stems --out out --split musdb": r"--split musdb is for --musdb-root; own, fraction and artist",
    "ingest --stems-root stems --out out --split own": r"songs outside of folders train, validation and test: 1 \(A",
    "ingest --stems-root stems --out out --split fraction --test-fraction 1": r"-fraction is 1; give 0 to less than 1",
    "ingest --musdb-root musdb --out out --test-fraction 0.2": r"--test-fraction is for --split fraction or artist",
    "ingest --musdb-root musdb --out out -p typo.json": r"frame_stpe is not a known key; did you mean frame_step\?",
    # What is exported
    "export MODEL -o out": r"--format is missing: savedmodel and onnx: waveform",
    "export MODEL --format tflite -o out": r"--format is tflite; give one of savedmodel, onnx, sherpa-onnx",
    "export MODEL --format onnx": r"-o/--output is missing: Folder of the export",
    "export 6stems --format onnx -o out": r"6stems: no such model or file; .*give one of .*2stems",
    "export typo.json --format onnx -o out": r"frame_stpe is not a known key; did you mean frame_step\?",
    "export config.json --format onnx -o out": r"config\.json: no complete checkpoint .* train the model first",
    "export MODEL --format onnx -o file": r"file: is a file; name a folder",
    "export MODEL --format onnx -o file/out": r"file/out: cannot be written to .*choose another folder",
    "export MODEL --format onnx -o text --overwrite": r"text: holds notes\.txt, which is not of an export; choose ano",
    "export MODEL --format onnx -o .": r"\.: is the working folder or holds it, and would be replaced",
    "export MODEL --format sherpa-onnx -o out": r"sample_rate is 8000; sherpa-onnx separates only with 44100",
    "export 4stems --format sherpa-onnx -o out": r"instrument_list is vocals, drums, bass, other; sherpa-onnx separ",
    # What is scored and published
    "evaluate -p MODEL --csv missing.csv -o out": r"missing\.csv: cannot be read as a manifest",
    "evaluate -p MODEL --csv s3://bucket/test.csv -o out": r"s3://bucket/test\.csv is a URL, a path is needed",
    "evaluate -p MODEL --csv train.csv -o out --runner dask": r"--runner dask needs --scheduler URL",
    "evaluate -p MODEL --csv no_songs.csv -o out": r"no_songs\.csv: lists no songs; give a manifest with at least one",
    "evaluate -p MODEL --mus_dir musdb -o out": r"musdb: has no songs in a folder test; give the folder of MUSDB18",
    "evaluate -p MODEL --csv train.csv -o file": r"file: cannot be written to .* with -o",
    "evaluate -p MODEL -o out": r"nothing to score: give --mus_dir DIR or --csv FILE, or set MUSDB_PATH",
    "evaluate --csv train.csv -o out": r"nothing is to be scored: give -p MODEL, --estimates DIR or --baselines",
    "evaluate --csv train.csv -o out --baselines best": r"--baselines is best; give one of mixture, irm",
    "evaluate --csv train.csv -o out --estimates nowhere": r"nowhere: no such folder; give one with test/<track>/",
    "evaluate -p MODEL --csv train.csv -o out --estimates text": r"text: has no folders of tracks; expected test/<tr",
    "evaluate --csv train.csv -o out --estimates runs": r"runs: none of the test set's stems has a file",
    "evaluate --csv train.csv -o out --estimates runs --mwf": r"--mwf is for a model that separates: give -p MODEL",
    "publish nosuch --version 1.0.0": r"nosuch: no such run in runs/ \(there: changed-0123456789ab, config-123456\)",
    "publish config-123456 --version 1.0.0": r"this run is not finished .* run the same training command again",
    "reproduce tuned.tar.gz": r"tuned: was started from the weights of base; give that model with --init-from\.",
    "publish config-123456 --version latest": r"--version: latest is not a semantic version such as 1\.2\.0",
}


def assert_is_one_line(result, expected):
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert re.search(expected, result.stderr), result.stderr
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
     "ingest --musdb-root musdb --out out", "evaluate -p MODEL --csv train.csv -o out"],
)  # fmt: skip
def test_without_ffmpeg_a_command_says_how_to_install_it(here, run, model, command):
    result = run(*command.replace("MODEL", str(model)).split(), PATH="/nowhere")
    assert_is_one_line(result, r"ffmpeg is not on the PATH: install it with `apt install ffmpeg`")


def test_a_prefect_server_that_does_not_answer_is_one_line(here, run, model):
    nobody = "http://127.0.0.1:9/api"
    result = run("separate_batch", "song.wav", "-o", "out", "-p", model, PREFECT_API_URL=nobody)
    assert_is_one_line(result, rf"Failed to reach API at {nobody}/; start it with `prefect server start`")


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
    assert re.search(r"songs/empty\.wav the file is empty \(0 bytes\)", table)
    assert re.search(r"songs/text\.mp3 is not audio or video that ffmpeg can read", table)
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
    assert stderr.splitlines()[-1] == "interrupted; what is finished is kept, nothing is half-written"
    assert "Traceback" not in stderr
    assert stdout == ""
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_recording_that_cannot_be_decoded_stops_caching_with_one_line_that_names_it(here, run):
    (here / "song.wav").write_text("not music")
    result = run("cache", "-p", "config.json")
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    last_line = result.stderr.splitlines()[-1]
    assert last_line.startswith("train.csv: none of its 1 rows can be used; row 1: ")
    assert "song.wav: is not audio or video that ffmpeg can read: " in last_line
    assert not (here / "training_cache").exists()


def test_what_a_server_answers_sends_no_commands_to_the_terminal(capsys):
    def work():
        raise ProviderError("404 \x1b]0;owned\x07\x1b[2J\nsecond line")

    assert guarded(work) == ProviderError("").exit_code
    assert capsys.readouterr().err == "404 \\x1b]0;owned\\x07\\x1b[2J\nsecond line\n"
