"""The ffmpeg programs: where they are, how one runs at the end of a pipe, why it failed."""

import errno
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import ffmpeg

from sepcore.errors import FfmpegMissing, StemworksError
from sepcore.system.os_errors import named_in

_STDERR_TAIL_BYTES = 4096

_SUFFIXES = """
    aac ac3 aif aiff alac amr ape au caf dts flac m4a m4b mka mp2 mp3 oga ogg opus w64 wav wma wv
    3gp avi flv m4v mkv mov mp4 mpeg mpg ogv ts webm wmv
"""
AUDIO_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
"""Of the files that are taken from a folder; a file that is named itself may have any suffix."""

# What ffmpeg prints after the line with the reason.
_AFTERTHOUGHTS = (
    "Conversion failed",
    "Error initializing output stream",
    "Error reinitializing filters",
    "Error while processing the decoded data",
    "Failed to configure output pad",
    "Failed to inject frame into filter network",
    "Last message repeated",
    "To ignore this, add a trailing",
)
_LIBVORBIS_REFUSES = "encoder setup failed"  # it says no more


class FfmpegFailed(StemworksError):
    """ffmpeg or ffprobe ended with an error; whoever catches it knows the file."""

    @classmethod
    def of(cls, program: str, line: str, code: int) -> Self:
        """The error of a program with this exit code, and with this `last_meaningful_line`."""
        too_large = OSError(errno.EFBIG, os.strerror(errno.EFBIG)) if code == -signal.SIGXFSZ else None
        named = too_large or named_in(line)
        reason = line or (named and named.strerror) or "it gave no reason"
        hint = "Choose another bitrate: this codec does not have this one at this sample rate."
        return cls(
            f"{reason} ({program} exit code {code})",
            hint=hint if _LIBVORBIS_REFUSES in line else "",
            errno=None if named is None else named.errno,
        )


def find_program(name: str) -> str:
    """Find ``"ffmpeg"`` or ``"ffprobe"`` by ``FFMPEG_PATH`` (ffmpeg itself or its folder), else on ``PATH``.

    Raises:
        FfmpegMissing: it is not there.
    """
    found, given = None, os.environ.get("FFMPEG_PATH")
    if not given:
        found, where = shutil.which(name), "is not on the PATH"
    else:
        where = f"is not where FFMPEG_PATH says ({given})"
        if Path(given).is_dir():
            found = shutil.which(name, path=given)
        elif binary := shutil.which(given):
            beside = shutil.which(name, path=str(Path(binary).parent))
            found = binary if name == "ffmpeg" else beside or shutil.which(name)
    if found is None:
        raise FfmpegMissing(
            f"{name} {where}",
            hint="Install it with `apt install ffmpeg` or `brew install ffmpeg`, or set FFMPEG_PATH to it.",
        )
    return found


def file_url(path: Path) -> bytes:
    """``path`` for ffmpeg: with a scheme, ``-x.wav`` is not an option and ``a:b.wav`` not a protocol.

    Bytes, because ffmpeg-python fails on text that is not Unicode, such as an old name in Latin-1.
    """
    return os.fsencode(f"file:{path}")


def last_meaningful_line(stderr: str) -> str:
    """The last of ffmpeg's messages that gives a reason, without addresses and ``file:`` names; "" if there is none."""
    lines = [re.sub(r"^(\[[^]]* @ 0x[0-9a-f]+\] )+|^file:.*: (?=\S)", "", line).strip() for line in stderr.splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith(_AFTERTHOUGHTS)), "")


def run_ffprobe(*options: str | bytes) -> str:
    """Run ffprobe and return its output; FfmpegFailed if it fails."""
    probe = subprocess.run(
        [find_program("ffprobe"), "-v", "error", *options],
        capture_output=True,
        check=False,
        encoding="utf-8",
        errors="replace",
        process_group=0,
    )
    if probe.returncode:
        raise FfmpegFailed.of("ffprobe", last_meaningful_line(probe.stderr), probe.returncode)
    return probe.stdout


def has_filter(program: str, name: str) -> bool:
    """Whether a build of ffmpeg, given by its path, has a filter."""
    listed = subprocess.run(
        [program, "-hide_banner", "-filters"], capture_output=True, check=False, encoding="utf-8", process_group=0
    )
    return name in listed.stdout.split()


class FfmpegProcess:
    """One ffmpeg that runs a graph of ffmpeg-python, connected to this process by a pipe.

    As a context manager it kills an ffmpeg that is still running at the end of the block.

    Args:
        graph: Of ffmpeg-python.
        feed: Whether it reads from this process; otherwise it writes to it.
        names: What to call temporary files in messages.

    Attributes:
        pipe: ffmpeg's standard input (``feed=True``) or output, binary.
    """

    def __init__(self, graph: Any, *, feed: bool, names: Mapping[Path, str] | None = None) -> None:
        self._names = names or {}
        command = [find_program("ffmpeg"), "-nostdin", "-hide_banner", "-loglevel", "error"]
        # Messages go to a file: a pipe that nobody reads blocks ffmpeg once a bad file has filled it.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 -- closed in __exit__
        # Not by ffmpeg-python's run_async, which leaves it in this process group: Ctrl-C would end ffmpeg before Python
        # notices, and look like a broken file.
        self._process = subprocess.Popen(
            ffmpeg.compile(graph, cmd=command),
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if feed else subprocess.PIPE,
            stderr=self._stderr,
            process_group=0,
        )
        pipe = self._process.stdin if feed else self._process.stdout
        assert pipe is not None
        self.pipe: IO[bytes] = pipe

    def _wait(self) -> int:
        with suppress(BrokenPipeError):  # ffmpeg ended before it had read everything; its exit code says why
            self.pipe.close()
        return self._process.wait()

    def last_line(self) -> str:
        """The `last_meaningful_line` of its messages; only after `failure`."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _STDERR_TAIL_BYTES))
        line = last_meaningful_line(os.fsdecode(self._stderr.read()))
        for path, name in self._names.items():
            line = line.replace(f"file:{path}", name)
        return line.encode(errors="replace").decode()

    def failure(self) -> FfmpegFailed | None:
        """Close the pipe and wait for the end: None if all went well, else ffmpeg's last line and exit code."""
        code = self._wait()
        return FfmpegFailed.of("ffmpeg", self.last_line(), code) if code else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()  # does nothing if it has already ended
        self._wait()
        self._stderr.close()
