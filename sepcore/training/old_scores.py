"""The scores in a folder of an evaluation, removed once they are of other weights than those of their run."""

from pathlib import Path

MADE_FROM = "made_from"
"""Folder of a file for each scored track, of the name of its score file: what this project scored is known by it."""

# The summary first: whatever is left after a kill, nobody takes it for scores of the run.
_OF_ALL_TRACKS = ("scores.json", "frames.parquet", "tracks.parquet", "report.html", "boxplot.png", "boxplot.svg")


def remove_scores(evaluation: Path) -> None:
    """Remove what an evaluation wrote of a model's scores.

    What does not depend on the model stays (its baselines, decoded songs), and so does what others put there.

    Args:
        evaluation: Where ``flows.evaluate -o`` wrote; need not exist.
    """
    for name in _OF_ALL_TRACKS:
        (evaluation / name).unlink(missing_ok=True)
    for marker in (evaluation / MADE_FROM).glob("*.json"):
        (evaluation / "test" / marker.name).unlink(missing_ok=True)
        marker.unlink()
