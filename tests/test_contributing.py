"""The recipes of CONTRIBUTING.md for contributors do what they say."""

import dataclasses
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from sepcore.config.network import NETWORK_PARAMS
from sepcore.dataset.ingest import songs as found
from sepcore.dataset.ingest.plan import plan_ingest
from sepcore.errors import DatasetError
from sepcore.evaluation.bsseval.sdr import GLOBAL_METRICS, GlobalScores
from sepcore.evaluation.report.score_tables import _METRICS
from sepcore.evaluation.scores import StemScores
from sepcore.evaluation.track_scores import TOTAL_COLUMNS, TRACK_COLUMNS
from sepcore.networks import registry
from sepcore.release.card import _COLUMNS
from tests.models import small_config
from tests.raised import raises
from tests.repository import ROOT

RECIPES = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


@pytest.fixture
def registered(monkeypatch):
    """Networks that a test registers are forgotten after it."""
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    before = dict(NETWORK_PARAMS)
    yield
    NETWORK_PARAMS.clear()
    NETWORK_PARAMS.update(before)


@pytest.mark.slow
def test_the_network_of_the_recipe_is_built_and_estimates_every_stem(registered):
    (snippet,) = (
        block for block in re.findall(r"```python\n(.*?)```", RECIPES, re.DOTALL) if "register_network" in block
    )
    names = {}
    exec(snippet, names)
    names["register"]()
    config = small_config(model={"type": "mine.conv", "params": {"filters": 4}})
    network = registry.build_network(config)
    mixture = np.random.default_rng(0).uniform(size=(1, config.segment_frames, config.num_bins, config.num_channels))
    estimates = np.asarray(network(mixture.astype(np.float32)))
    assert estimates.shape == (1, len(config.instruments), *mixture.shape[1:])
    assert (estimates >= 0).all()
    assert not np.allclose(estimates[:, 0], estimates[:, 1]), "the stems share one mask"
    assert (estimates <= mixture[:, None] + 1e-6).all()


def test_the_layout_of_the_recipe_finds_songs_that_can_be_ingested(tmp_path, monkeypatch):
    (snippet,) = (block for block in re.findall(r"```python\n(.*?)```", RECIPES, re.DOTALL) if "SourceSong" in block)
    names = {}
    exec(snippet, names)
    monkeypatch.setitem(found.LAYOUTS, "prefixed", names["list_prefixed_songs"])
    for song in ("A - One", "B - Two", "C - Three"):
        (tmp_path / song).mkdir()
        for instrument in ("vocals", "accompaniment"):
            (tmp_path / song / f"audio_{instrument}.wav").touch()
    songs = found.find_dataset(None, tmp_path, "prefixed")
    assert [song.artist for song in songs] == ["A", "B", "C"]
    assert len(plan_ingest(songs, small_config()).splits) == 3
    with raises(DatasetError, "'prefix'", hint="prefixed"):
        found.find_dataset(None, tmp_path, "prefix")
    (tmp_path / "empty").mkdir()
    for folder, problem in (("nowhere", "no such folder"), ("empty", "no songs")):
        with raises(DatasetError, problem, path=tmp_path / folder):
            found.find_dataset(None, tmp_path / folder, "prefixed")


def test_songs_of_any_layout_that_would_be_ingested_as_one_are_refused(tmp_path, monkeypatch):
    def both(root):
        recordings = (("vocals", found.Recording(root / "vocals.wav")),)
        return [found.SourceSong("Same", "", split, recordings) for split in ("train", "test")]

    monkeypatch.setitem(found.LAYOUTS, "careless", both)
    with raises(DatasetError, "2 songs", "Same", path=tmp_path):
        found.find_dataset(None, tmp_path, "careless")


@pytest.mark.slow
def test_the_flow_of_the_recipe_runs_as_a_command(tmp_path):
    folder = tmp_path / "flows" / "count_songs"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""How many songs a manifest lists."""\n')
    for name in ("options", "flow", "__main__"):
        (code,) = re.findall(rf"```python\n# flows/count_songs/{name}\.py\n(.*?)```", RECIPES, re.DOTALL)
        (folder / f"{name}.py").write_text(code)
    (tmp_path / "train.csv").write_text("mix_path\na.wav\nb.wav\n")
    run = "import runpy, flows; flows.__path__.append('flows'); runpy.run_module('flows.count_songs', None, '__main__')"
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    variables |= {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(tmp_path / "prefect")}

    def count(*words):
        command = [sys.executable, "-c", run, *words]
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)

    assert "The manifest." in count("--help").stdout
    assert "CSV is missing. The manifest." in count().stderr
    result = count("train.csv")
    assert (result.returncode, result.stdout) == (0, "songs: 2\n"), result.stderr


def test_every_metric_of_whole_tracks_is_in_every_table_the_report_and_the_card():
    fields = {field.name for field in dataclasses.fields(GlobalScores)}
    assert fields == set(GLOBAL_METRICS) <= {field.name for field in dataclasses.fields(StemScores)}
    assert set(GLOBAL_METRICS.values()) <= set(TOTAL_COLUMNS) & set(TRACK_COLUMNS) & set(_METRICS) & set(_COLUMNS)


def test_the_files_and_names_of_the_recipes_exist():
    for file in re.findall(r"`(sepcore/[\w/]+\.py|tasks/\w+\.py)`", RECIPES):
        assert (ROOT / file).is_file(), file
    sources = "\n".join(path.read_text() for path in (ROOT / "sepcore").rglob("*.py"))
    for name in (
        "GlobalScores",
        "GLOBAL_METRICS",
        "StemScores",
        "_VERSION",
        "LAYOUTS",
        "SourceSong",
    ):
        assert name in RECIPES
        assert name in sources
