"""The README's recipes for contributors do what they say."""

import re
from pathlib import Path

import numpy as np
import pytest

from sepcore.config_network import NETWORK_PARAMS
from sepcore.networks import registry
from tests.models import small_config

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


@pytest.fixture
def registered(monkeypatch):
    """Networks that a test registers are forgotten after it."""
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    before = dict(NETWORK_PARAMS)
    yield
    NETWORK_PARAMS.clear()
    NETWORK_PARAMS.update(before)


@pytest.mark.slow
def test_the_network_of_the_readme_is_built_and_estimates_every_stem(registered):
    (snippet,) = (
        block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "register_network" in block
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


def test_the_files_and_names_of_the_recipes_exist():
    section = README[README.index("## Contributing") :]
    for file in re.findall(r"`(sepcore/[\w/]+\.py|tasks/\w+\.py)`", section):
        assert (Path(__file__).parents[1] / file).is_file(), file
    sources = "\n".join(path.read_text() for path in (Path(__file__).parents[1] / "sepcore").rglob("*.py"))
    for name in (
        "GlobalScores",
        "GLOBAL_METRICS",
        "score_track",
        "StemScores",
        "_VERSION",
        "find_dataset",
        "SourceSong",
    ):
        assert name in section
        assert name in sources
