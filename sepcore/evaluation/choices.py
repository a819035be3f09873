"""What an evaluation lets its user choose from, by name."""

from typing import Literal

ScoringEngine = Literal["fast", "stable", "museval"]
"""How BSSEval is computed; see `sepcore.evaluation.bss_eval`."""

BaselineName = Literal["mixture", "irm"]
"""What is scored beside a model; see `sepcore.evaluation.baselines`."""
