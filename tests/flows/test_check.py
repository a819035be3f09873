"""The command `python -m flows.check`: tables, exit codes, template, and what it says of mistakes."""

import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import soundfile

from tests.flows.test_commands import CONFIG, SLOW_PACKAGES, assert_is_one_line, lacking

RATE = 8000
HEADER = "mix_path,vocals_path,accompaniment_path,duration"


@pytest.fixture
def here(tmp_path):
    """A working folder with a config and two songs: ``good``, and ``short`` of half a second."""
    rng = np.random.default_rng(0)
    for name, seconds in (("good", 3), ("short", 0.5)):
        (tmp_path / name).mkdir()
        vocals, accompaniment = rng.uniform(-0.3, 0.3, (2, round(RATE * seconds), 2)).astype(np.float32)
        for signal_name, samples in (
            ("mix", vocals + accompaniment), ("vocals", vocals), ("accompaniment", accompaniment),
        ):  # fmt: skip
            soundfile.write(tmp_path / name / f"{signal_name}.wav", samples, RATE, subtype="FLOAT")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def row(name, duration=3.0):
    return f"{name}/mix.wav,{name}/vocals.wav,{name}/accompaniment.wav,{duration}"


def write_csv(path, *rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture
def check(run):
    """``check("train.csv", …)`` runs the command in a terminal so wide that no line of a table breaks."""
    return lambda *arguments: run("check", *arguments, COLUMNS="300")


def table_text(stdout):
    """What the tables say, without their lines."""
    return " ".join(re.sub(r"[│┃]", " ", stdout).split())


def test_help_waits_for_no_slow_package(here, environment):
    command = [sys.executable, "-X", "importtime", "-m", "flows.check", "--help"]
    result = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=True)
    assert all(option in result.stdout for option in ("CSV", "-p", "-d", "--report", "--workers", "--template"))
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "flows" in imported
    assert not imported & (SLOW_PACKAGES | {"pyarrow", "soundfile"})


def test_checking_waits_for_neither_prefect_nor_tensorflow(here, environment):
    write_csv(here / "train.csv", row("good"))
    command = [sys.executable, "-X", "importtime", "-m", "flows.check", "train.csv", "-p", "config.json"]
    result = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    # pyarrow asks pandas about every list that it is given, as soon as pandas is installed.
    assert not imported & (SLOW_PACKAGES - {"pandas"})


def test_where_every_row_is_usable_it_says_so_in_one_line(here, check):
    write_csv(here / "train.csv", row("good"))
    result = check("train.csv", "-p", "config.json")
    assert (result.returncode, result.stdout) == (
        0,
        "train.csv: 1 rows, 1 usable, 0 left out, 0.00 h of audio; report: train.check.parquet\n",
    )
    assert list(pd.read_parquet(here / "train.check.parquet")["usable"]) == [True] * 3


def test_a_table_names_rows_reasons_and_cures(here, check):
    write_csv(here / "train.csv", row("good", 9), row("short", 0.5), row("gone"))
    result = check("train.csv", "-p", "config.json")
    assert result.returncode == 1, result.stderr
    table = table_text(result.stdout)
    assert "train.csv: 2 of 3 rows left out" in table
    assert "train.csv: 1 of 3 rows with warnings" in table
    for text in ("3", "mix_path", "gone/mix.wav", "2", "short", "64", "duration"):
        assert text in table
    assert result.stdout.endswith("3 rows, 1 usable, 2 left out, 0.00 h of audio; report: train.check.parquet\n")


def test_many_rows_with_the_same_finding_are_counted(here, check):
    write_csv(here / "train.csv", row("good"), *(row(f"gone{number}") for number in range(9)))
    table = table_text(check("train.csv", "-p", "config.json").stdout)
    assert "gone1/mix.wav" in table
    assert "gone3/mix.wav" not in table
    assert "and 22 more like it" in table


def test_a_manifest_without_a_usable_row_ends_with_the_reasons_and_2(here, check):
    write_csv(here / "train.csv", row("short", 0.5))
    result = check("train.csv", "-p", "config.json")
    assert result.returncode == 2
    assert "train.csv: 1 of 1 rows left out" in table_text(result.stdout)
    assert result.stderr.splitlines()[-1].startswith("train.csv: ")
    assert not lacking(result.stderr, ("row 1", "T", "64")), result.stderr
    assert "Traceback" not in result.stderr


def test_without_a_config_the_columns_tell_the_instruments_and_spleeters_defaults_hold(here, check):
    write_csv(here / "train.csv", "good/mix.wav,good/vocals.wav,3", header="mixture_path,piano_path,duration")
    result = check("train.csv")
    assert result.returncode == 2
    assert lacking(table_text(result.stdout), "T 512") == []
    assert list(pd.read_parquet(here / "train.check.parquet")["signal"]) == ["mixture", "piano"]


def test_a_song_in_two_manifests_is_told_in_table_and_report(here, check):
    write_csv(here / "train.csv", row("good"))
    write_csv(here / "validation.csv", row("good"))
    result = check("train.csv", "validation.csv", "-p", "config.json")
    assert result.returncode == 0
    assert "row 1 of train.csv" in table_text(result.stdout)
    findings = pd.read_parquet(here / "validation.check.parquet")["findings"][0]
    assert findings[0].startswith("warning: ")
    assert lacking(findings[0], ("mixture", "row 1 of train.csv")) == []


def test_names_with_brackets_are_no_markup(here, check):
    write_csv(here / "train.csv", row("[red]gone[/blue]"), row("good"))
    assert "[red]gone[/blue]/mix.wav" in table_text(check("train.csv", "-p", "config.json").stdout)


def test_the_template_can_be_filled_in_and_checked(here, check):
    result = check("new.csv", "--template")
    assert result.returncode == 0
    assert result.stdout.startswith("new.csv: put a row for each song in the place of the examples")
    assert (here / "new.csv").read_text().splitlines()[0] == HEADER
    write_csv(here / "new.csv", row("good"))
    assert check("new.csv", "-p", "config.json").returncode == 0


def test_the_template_follows_the_config(here, check):
    check("new.csv", "--template", "-p", "4stems")
    header = (here / "new.csv").read_text().splitlines()[0]
    assert header == "mix_path,vocals_path,drums_path,bass_path,other_path,duration"


MISTAKES = {
    "none.csv": ("none.csv:", "No such file"),
    "semicolons.csv": "semicolons.csv: semicolons commas",
    "train.csv -p 4stems": "train.csv: drums_path bass_path other_path mix_path",
    "train.csv piano.csv": "piano.csv: mix_path mixture_path -p",
    "train.csv -p typo": "typo",
    "empty.csv -p config.json": "empty.csv: songs",
    "train.csv --report train.csv": "train.csv: report",
    "train.csv --report train.csv/r": ("train.csv:", "flows.check", "--report"),
    "train.csv empty.csv --report r": "--report 2",
    "a.csv b.csv --template": "--template 2",
    "train.csv --template": "train.csv: --template",
    "train.csv --workers 0": ("--workers", "0", "at least 1"),
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_mistake_is_answered_with_one_line_before_anything_is_made(here, check, arguments):
    write_csv(here / "train.csv", row("good"))
    write_csv(here / "empty.csv")
    write_csv(here / "piano.csv", header="piano_path,duration")
    write_csv(here / "semicolons.csv", header=HEADER.replace(",", ";"))
    before = sorted(here.rglob("*"))
    assert_is_one_line(check(*arguments.split()), MISTAKES[arguments])
    assert sorted(here.rglob("*")) == before


@pytest.mark.slow
def test_ctrl_c_ends_in_one_line_and_the_next_check_goes_on(here, environment, check):
    soundfile.write(here / "long.flac", np.zeros((RATE * 900, 2), np.int16), RATE)
    for number in range(20):
        (here / f"{number}.flac").hardlink_to(here / "long.flac")
    rows = [f"{number}.flac,long.flac,long.flac,900" for number in range(20)]
    write_csv(here / "train.csv", row("good"), *rows)
    command = [sys.executable, "-m", "flows.check", "train.csv", "-p", "config.json", "--workers", "1"]
    process = subprocess.Popen(command, cwd=here, env=environment, stderr=subprocess.PIPE, text=True)
    journal = here / ".train.check.jsonl"
    while not journal.exists() or journal.read_bytes().count(b"\n") < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.splitlines()[-1].lower().startswith("interrupted")
    assert "Traceback" not in stderr
    assert 2 <= journal.read_bytes().count(b"\n") < 21
    assert check("train.csv", "-p", "config.json").returncode == 0
    assert not journal.exists()
