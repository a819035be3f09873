"""One run published, as most tests of releases need it."""

from pathlib import Path
from typing import Any

from sepcore.release.gate import Published, judge_run
from sepcore.release.publish import publish_candidates


def publish_release(run_folder: Path, *, releases: Path, **how: Any) -> Published:
    """Judge and publish a run."""
    (published,) = publish_candidates([judge_run(run_folder, releases=releases, **how)], releases)
    return published
