"""The choices of an evaluation by name, apart from all that is slow to import."""

from typing import Literal

ScoringEngine = Literal["fast", "stable", "museval"]
"""How BSSEval is computed; see `sepcore.evaluation.bss_eval`."""

ENGINES: dict[ScoringEngine, str] = {
    "fast": "fast: museval's numbers, computed in blocks; where museval's depend on rounding, so do these",
    "stable": "stable: as museval, with 1e-8 of each reference's energy on the diagonal of its equations",
    "museval": "museval: museval's own computation",
}
"""Each of them in words, for the report."""

BaselineName = Literal["mixture", "irm"]
"""What is scored beside a model; see `sepcore.evaluation.estimates.BASELINES`."""

MARGIN_DB = 0.1
"""How far a stem's median SDR may fall below the last released model's: about what another seed changes."""
