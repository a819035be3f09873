"""What an evaluation lets its user choose from, by name."""

from typing import Literal

ScoringEngine = Literal["fast", "stable", "museval"]
"""How BSSEval is computed; see `sepcore.evaluation.bss_eval`."""

ENGINES: dict[ScoringEngine, str] = {
    "fast": "fast: museval's numbers, computed in blocks; where museval's depend on rounding, so do these",
    "stable": "stable: as museval, with 1e-8 of each reference's energy on the diagonal of its equations",
    "museval": "museval: museval's own computation",
}
"""What each of them is, in words."""

BaselineName = Literal["mixture", "irm"]
"""What is scored beside a model; see `sepcore.evaluation.estimates`."""

MARGIN_DB = 0.1
"""By how much a stem's median SDR may be below the last released model's: about what another seed changes."""
