"""Errors as users see them: what is wrong, with which file, and how to mend it, in one line."""

import os
from pathlib import Path

from sepcore.system.urls import shown


class StemworksError(Exception):
    """Base of all errors that a command shows as one line, without a traceback.

    Code that decides something looks at the type and the attributes, never at the text.

    Args:
        problem: What was given and what is wrong with it, without a full stop: ``row 3: vocals_path does not exist``.
        hint: How to mend it, as sentences: ``Fix the path, or pass -d DIR if it is relative to DIR.``
        path: The file, folder or address that the problem is about; it stands in front of it.
        errno: The system's number of the error that it comes of, such as `errno.ENOSPC`.

    Attributes:
        exit_code: what a command ends with: 2 for the user's mistake, 1 where some of the work failed.
    """

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        hint: str = "",
        path: str | os.PathLike[str] | None = None,
        errno: int | None = None,
    ) -> None:
        # Without secrets here, not where it is shown: Prefect keeps the text of what ended a run.
        self.problem = shown(problem)
        self.hint = shown(hint)
        self.path = None if path is None else Path(path) if isinstance(path, os.PathLike) else shown(path)
        self.errno = errno
        super().__init__(self.problem)

    @property
    def reason(self) -> str:
        """Path and problem, for a list that has the hints apart."""
        return self.problem if self.path is None else f"{shown(self.path)}: {self.problem}"

    def __str__(self) -> str:
        """Path, problem and hint in one line."""
        return f"{self.reason}. {self.hint}" if self.hint else self.reason


class ConfigError(StemworksError, ValueError):
    """A model's JSON, or a name that should lead to one, cannot be used."""


class FfmpegMissing(StemworksError):
    """Neither ``FFMPEG_PATH`` nor ``PATH`` leads to ffmpeg and ffprobe; the text says how to install them."""


class AudioDecodeError(StemworksError):
    """ffmpeg could not read a file; the text ends with ffmpeg's own last line."""


class AudioEncodeError(StemworksError):
    """ffmpeg or the disk refused to write a file; nothing half-written is left."""


class OutputNotWritable(StemworksError):
    """The output folder takes no more, whatever the song: the disk is full or read-only."""


class EngineUnusable(StemworksError):
    """What should run the network is not installed, or does not load on this machine."""


class CheckpointError(StemworksError):
    """A checkpoint does not hold every tensor that the network needs, in the shape that it needs."""


class DatasetError(StemworksError, ValueError):
    """A manifest, a recording or a shard cannot be used for training or scoring."""


class CacheNotWritable(DatasetError):
    """The place of the shards takes no more, or cannot be written to: no song can be cached there."""


class ProviderError(StemworksError):
    """A model could not be found, downloaded, verified or unpacked."""


class ReleaseError(StemworksError):
    """A release could not be made from what was given."""


class ExportError(StemworksError):
    """A model cannot be written in another form, or what was written does not give its stems; nothing is left of it."""


class GateRefused(StemworksError):
    """A release whose scores are not good enough; the run stays as it is."""

    exit_code = 1


class TrainingError(StemworksError):
    """Training cannot start or go on."""


class TrackingError(StemworksError):
    """MLflow's store cannot be reached or used; the text says where it is looked for."""


class SongsFailed(StemworksError):
    """Some songs of many could not be worked on; the others are done and kept."""

    exit_code = 1
