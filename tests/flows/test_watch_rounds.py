"""Rounds of a watched folder while Prefect's API comes and goes."""

import threading
import time
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest

from flows.watch.command import _deployment_name, keep_rounds_going, keep_serving


class Gone(Exception):
    pass


class Api:
    """Answers, or raises what is wrong; a run ends at the second look."""

    def __init__(self):
        self.error = None
        self.started, self.looks = [], []
        self._ids = map(UUID, map("{:032x}".format, count(1)))

    def _answer(self):
        if self.error:
            raise self.error

    def start(self):
        self._answer()
        self.started.append(next(self._ids))
        return self.started[-1]

    def has_ended(self, run):
        self.looks.append(run)
        self._answer()
        return self.looks.count(run) > 1


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    "error", [OSError("connection refused"), RuntimeError("500\nbody"), SystemExit(1), Gone("lost")]
)
def test_after_any_error_the_rounds_go_on_and_end_at_once_when_they_are_to(error, capsys):
    api, stop = Api(), threading.Event()
    how = {"every_s": 0.01, "look_every_s": 0.01, "longest_pause_s": 0.05}
    rounds = threading.Thread(
        target=keep_rounds_going,
        args=(api.start, api.has_ended, stop),
        kwargs=how | {"lost": Gone},
    )
    rounds.start()
    wait_for(lambda: len(api.started) > 1)
    api.error = error
    told = ""
    while told.count("trying again") < 3:
        time.sleep(0.01)
        told += capsys.readouterr().err
    before, api.error = len(api.started), None
    wait_for(lambda: len(api.started) > before + 1)
    stop.set()
    rounds.join(1)
    assert not rounds.is_alive()
    line = f"Prefect's API failed ({(str(error) or 'SystemExit').splitlines()[0]}); trying again in 0 s"
    assert set(told.splitlines()) == {line}
    # A run that goes on somewhere is waited for; only one that the API has lost is not.
    unended = [run for run in api.started[:-1] if api.looks.count(run) < 2]
    assert not unended or isinstance(error, Gone)


def test_a_long_pause_ends_at_once_when_all_is_to_end():
    api, stop = Api(), threading.Event()
    api.error = OSError("gone")
    rounds = threading.Thread(
        target=keep_rounds_going,
        args=(api.start, api.has_ended, stop),
        kwargs={"every_s": 3600.0, "longest_pause_s": 3600.0, "lost": Gone},
    )
    rounds.start()
    stop.set()
    rounds.join(1)
    assert not rounds.is_alive()


def test_serving_begins_again_after_an_outage_ended_it(capsys):
    failures = iter([ExceptionGroup("task group", [RuntimeError("threshold")]), OSError("refused")])

    def serve():
        for failure in failures:
            raise failure

    keep_serving(serve, first_pause_s=0.01, longest_pause_s=0.01)
    assert [line.partition("; ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "Prefect's API failed (threshold)",
        "Prefect's API failed (refused)",
    ]


def test_a_deployment_is_named_by_both_folders_and_by_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a/in", "b/in"):
        (tmp_path / folder).mkdir(parents=True)
    name = _deployment_name(Path("a/in"), Path("out"))
    assert name == _deployment_name(tmp_path / "b" / ".." / "a" / "in", tmp_path / "out")
    others = {
        _deployment_name(Path(folder), Path(out))
        for folder, out in (("b/in", "out"), ("a/in", "other"), ("a", "in/out"))
    }
    assert len(others | {name}) == 4
    assert name.startswith("watch-in-")
    for odd in ("a&b", "50% <c>", "\udcff", "line\nbreak", "日本"):
        named = _deployment_name(tmp_path / odd, Path("out"))
        assert named.encode().isascii() or "日本" in named
        assert not set(named) & set("/%&><\n")
