"""From the words of a command line to its options: what is taken, and the one line for what is not."""

import hashlib
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from flows.__main__ import commands, main
from flows.support.command_line import _parsed
from flows.support.flow_options import flow_of
from flows.support.options import Flag, Options, flags
from sepcore.config.load import load_config
from sepcore.errors import ConfigError
from tests.flows.test_commands import SLOW_PACKAGES, lacking
from tests.raised import raises
from tests.repository import ROOT

NAMES = sorted(set(commands()) - {"completion"})
OPTIONS = {name: import_module(f"flows.{name}.options").Options for name in NAMES}


@pytest.fixture(autouse=True)
def as_a_module(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pytest"])


def parse(name, *words):
    return _parsed(OPTIONS[name], words)[0]


@pytest.fixture
def refusal(capsys):
    """``refusal(name, *words)``: the line that a command answers with."""

    def line(name, *words):
        with pytest.raises(SystemExit) as ended:
            parse(name, *words)
        told = capsys.readouterr()
        assert (ended.value.code, told.out, told.err.count("\n")) == (2, "", 1), told.err
        assert told.err.startswith(f"python -m flows.{name}: ")
        assert "--help" in told.err
        return told.err

    return line


@pytest.mark.parametrize("name", NAMES)
def test_every_option_stands_in_the_help_with_its_flags(name, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(name, "--help")
    assert ended.value.code in (0, None)
    told = capsys.readouterr().out
    for field_name, field in OPTIONS[name].model_fields.items():
        assert field.description, field_name
        for flag in flags(field_name, field):
            assert flag in told
    assert "--verbose" in told


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option_is_answered_with_the_nearest(name, refusal):
    assert not lacking(refusal(name, "--verbos"), "--verbos: --verbose")


REFUSALS = {
    "train": {
        "": "-p/--params_filename 2stems",
        "-p": "-p: value",
        "-p a --max-steps 0": ("--max-steps", "0", "at least 1"),
        "-p a --max-steps -3": ("--max-steps", "-3", "at least 1"),
        "-p a --max-steps 1.5": ("--max-steps", "1.5", "whole number"),
        "-p a --max-steps many": ("--max-steps", "many", "whole number"),
        "-p a --runner dusk": "--runner dusk local dask",
        "-p a more": "more:",
        "-p a --version 1.0": "--version: 1.0 1.2.0 1.2.0-rc.1",
        "-p a --fresh --force": "--fresh --force",
        "-p a --work-dir s3://a/b": "s3://a/b URL path",
        "-p a --workers 2 --runner dask --scheduler tcp://host:1": "--workers Dask",
    },
    "separate_batch": {
        "-o out": "PATH",
        "song.wav": "-o/--output_path",
        "song.wav -o out --overlap nan": ("--overlap", "nan", "0 to 0.9"),
        "song.wav -o out --offset inf": "--offset inf number",
        "song.wav -o out --bits 17": "--bits 17 16 24 32",
        "song.wav -o out --codec mp33": "--codec mp33 wav flac mp3",
        "song.wav -o out --sample-rate 48k": "--sample-rate: 48k source Hz 48000",
    },
    "models": {
        "pull": "pull 2stems list",
        "list 2stems": "list verify",
        "pul 2stems": "ACTION pul pull list verify",
    },
    "compare": {
        "a": "B",
        "a b --confidence 1": ("--confidence", "1", "more than 0 to less than 1"),
    },
    "evaluate": {"-o out --mus_dir a --csv b": "--mus_dir --csv"},
    "publish": {"run run2 --version 1.0.0 --models a": "--models 1 2"},
    "serve": {"--port 70000": ("--port", "70000", "1 to 65535")},
}
"""What each command is told, and the facts that its line names: in one string, or with spaces in some."""


@pytest.mark.parametrize(("name", "words"), [(name, words) for name, cases in REFUSALS.items() for words in cases])
def test_a_mistake_is_one_line_that_says_what_is_allowed(refusal, name, words):
    assert not lacking(refusal(name, *words.split()), REFUSALS[name][words])


@pytest.mark.parametrize(
    ("name", "words", "facts"),
    [
        ("export", "2stems --format foo", "--format foo savedmodel, onnx, sherpa-onnx"),
        ("watch", "-o out --bits 99", "--bits 99 16, 24, 32"),
        ("separate_batch", "-o out --overlap 5", ("--overlap is 5", "0 to 0.9")),
    ],
)
def test_a_wrong_value_is_told_as_such_though_another_option_is_missing(refusal, name, words, facts):
    line = refusal(name, *words.split())
    assert not lacking(line, facts)
    assert "missing" not in line


def test_an_empty_path_is_no_path(refusal):
    assert not lacking(refusal("separate_batch", "", "-o", "out"), "PATH: empty .")
    assert not lacking(refusal("separate_batch", "song.wav", "-o", ""), "--output_path: empty .")


def test_words_become_what_the_fields_are():
    given = parse("separate_batch", "a.wav", "b", "-oout", "-s", "30", "--stems", "vocals,drums", "--mwf", "-c", "mp3")
    assert (given.paths, given.out) == ([Path("a.wav"), Path("b")], Path("out"))
    assert (given.offset, given.stems) == (30, ("vocals", "drums"))
    assert (given.mwf, given.codec, given.bits, given.sample_rate) == (True, "mp3", 16, None)
    assert parse("separate_batch", "a", "-o", "out", "--sample-rate", "source").sample_rate == "source"
    assert parse("separate_batch", "a", "-o", "out", "--sample-rate", "48000").sample_rate == 48000
    assert parse("separate", "a").out == Path("separated")
    assert parse("publish", "r", "s", "--version", "1.0.0", "--models", "a", "b").models == ["a", "b"]
    assert parse("cache", "-p", "c.json", "--prune", "--keep-for", "a", "--keep-for", "b").keep_for == ("a", "b")
    assert parse("separate_batch", "-o", "out", "--", "-x.wav").paths == [Path("-x.wav")]


def test_of_an_option_given_twice_the_last_counts():
    assert parse("train", "-p", "a", "-p", "b").params == "b"
    assert parse("separate_batch", "a", "-o", "out", "--stems", "vocals", "--stems", "drums,bass").stems == (
        "drums",
        "bass",
    )
    assert parse("evaluate", "-o", "out", "--baselines", "irm", "--baselines", "mixture").baselines == ("mixture",)


def test_of_a_variable_that_is_not_set_no_baselines_come():
    assert parse("evaluate", "-o", "out", "-p", "2stems", "--baselines", "").baselines == ()


def test_what_a_flag_begins_with_is_nearest(refusal):
    assert not lacking(refusal("separate_batch", "a", "--out", "b"), "--out: --output_path")


def test_a_key_of_the_config_is_set_by_its_name():
    given = parse(
        "train", "-p", "2stems", "--set", "learning_rate=0.5", "--set", "augmentation.gain_db=3", "--set=T=256"
    )
    config, shipped = given.config(), load_config("2stems")
    assert (config.learning_rate, config.augmentation.gain_db, config.segment_frames) == (0.5, 3, 256)
    assert config.fingerprint() != shipped.fingerprint()
    assert parse("train", "-p", "2stems", "--set", "model_dir=mine").config().model_dir == "mine"
    assert parse("cache", "-p", "2stems").config() == shipped
    assert OPTIONS["train"].of({"params": "2stems", "overrides": {"T": 256}}).config().segment_frames == 256


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("learning_rat=1", "learning_rat learning_rate"),
        ("augmentation.gain=1", "augmentation.gain"),
        ("T=-1", "T -1 0"),
        ("T.x=1", "T.x T 512"),
    ],
)
def test_a_key_that_cannot_be_set_is_one_line(text, facts):
    with raises(ConfigError) as refused:
        parse("train", "-p", "2stems", "--set", text).config()
    line = str(refused.value)
    assert "--set" in line
    assert not lacking(line, facts), line


def test_what_sets_nothing_is_one_line(refusal):
    assert not lacking(refusal("train", "-p", "2stems", "--set", "T"), "--set: T KEY=VALUE learning_rate=0.001")


class Example(Options):
    """An example."""

    size: int = 3
    """How many."""
    loud: Flag = False
    """Whether."""
    name: str
    """Whose."""


def test_a_flow_has_the_fields_as_its_parameters_and_refuses_like_the_command_line():
    @flow_of(Example, name="example")
    def example(options):
        """Do it."""
        return options

    schema = example.parameters.model_dump()["properties"]
    assert {key: value["default"] for key, value in schema.items() if "default" in value} == {"size": 3, "loud": False}
    assert "How many." in schema["size"]["description"]
    assert example.fn("me", size=4) == Example(name="me", size=4)
    assert example.version == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:32]
    with raises(ConfigError, "--size", "big") as refused:
        example.fn("me", size="big")
    assert "whole number" in str(refused.value)


@pytest.mark.parametrize("name", NAMES)
def test_help_waits_for_no_slow_package(name):
    command = [sys.executable, "-X", "importtime", "-c", f"import flows.{name}.options, flows.support.command_line"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "cyclopts" in imported
    assert not imported & SLOW_PACKAGES


def stemworks(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["stemworks", *words])
    main()


def test_stemworks_tells_its_version(monkeypatch, capsys):
    stemworks(monkeypatch, "--version")
    assert re.fullmatch(r"stemworks \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_stemworks_lists_its_commands(monkeypatch, capsys):
    stemworks(monkeypatch)
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in NAMES)
    assert "Separate folders and files of audio or video into stems." in told


@pytest.mark.parametrize(
    ("words", "start", "facts"),
    [
        (["trian"], "stemworks: trian: ", "train --help"),
        (["zzz"], "stemworks: zzz: ", "cache check train --help"),
        (["--bogus"], "stemworks: --bogus: ", "option --help"),
        (["completion"], "stemworks: completion: ", "bash zsh --help"),
        (["completion", "fish"], "stemworks: completion fish: ", "bash zsh --help"),
        (["train", "--max-step", "3"], "stemworks train: --max-step: ", "--max-steps --help"),
    ],
)
def test_what_stemworks_does_not_know_is_one_line(monkeypatch, capsys, words, start, facts):
    with pytest.raises(SystemExit) as ended:
        stemworks(monkeypatch, *words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(start)
    assert not lacking(told, facts), told
    assert told.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_commands_and_options(monkeypatch, capsys, shell):
    stemworks(monkeypatch, "completion", shell)
    script = capsys.readouterr().out
    for word in ("separate_batch", "--max-steps", "--overlap"):
        assert word in script
    if shell == "bash":
        shown = subprocess.run(
            ["bash"], input=f"{script}\ncomplete -p stemworks", text=True, capture_output=True, check=True
        )
        assert "-o default" in shown.stdout, "no file is completed"
