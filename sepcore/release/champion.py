"""The released model that a new one of its name has to stand beside, found in a folder of releases."""

from dataclasses import dataclass
from pathlib import Path

from sepcore.errors import DatasetError, ReleaseError
from sepcore.evaluation.scores import ScoreSummary
from sepcore.provider.version import parse_version
from sepcore.release.training_record import METRICS_FILE, released_scores
from sepcore.system.os_errors import fix_for


@dataclass(frozen=True)
class Champion:
    """A released model to compare with.

    Attributes:
        version: Of its release.
        scores: On its test set; None if it was released without.
    """

    version: str
    scores: ScoreSummary | None


def release_before(releases: Path, name: str, version: str) -> Champion | None:
    """The model of a name in the highest of a folder's versions below ``version``; None if there is none.

    Pre-releases count, what came after does not: published again, a version meets the same champion.

    Raises:
        ReleaseError: if that release cannot be read.
    """
    tarballs = {parse_version(file.parent.name): file for file in releases.glob(f"*/{name}.tar.gz")}
    versions = [found for found in tarballs if found is not None and found < version]
    if not versions:
        return None
    newest = max(versions)
    tarball = tarballs[newest]
    try:
        return Champion(str(newest), released_scores(tarball))
    except OSError as error:
        raise ReleaseError(
            f"cannot be read ({error}), so the new model cannot be compared with it",
            path=tarball,
            hint=f"{fix_for(error, reading=True)}, or remove the file.",
            errno=error.errno,
        ) from error
    except ValueError as error:
        reason = f"{METRICS_FILE}: {error.problem}" if isinstance(error, DatasetError) else error
        raise ReleaseError(
            f"cannot be read ({reason}), so the new model cannot be compared with it",
            path=tarball,
            hint="Fix or remove the file.",
        ) from error
