"""An ffmpeg that lacks Rubber Band."""

import shutil
from pathlib import Path

import pytest

from sepcore.signal.ffmpeg import find_program, has_filter


@pytest.fixture
def rubberband() -> None:
    """Leaves out a test where the installed ffmpeg has no such filter."""
    if not has_filter(find_program("ffmpeg"), "rubberband"):
        pytest.skip("the ffmpeg of this machine has no filter rubberband")


@pytest.fixture
def plain_ffmpeg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for FFMPEG_PATH with the installed programs, whose ffmpeg neither lists nor knows Rubber Band."""
    return write_plain_ffmpeg(tmp_path_factory.mktemp("plain"))


def write_plain_ffmpeg(folder: Path) -> Path:
    """The same in a given folder."""
    real = shutil.which("ffmpeg")
    script = folder / "ffmpeg"
    script.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *-filters*) {real} "$@" | grep -v rubberband; exit ;; *rubberband*) exit 8 ;; esac\n'
        f'exec {real} "$@"\n'
    )
    script.chmod(0o755)
    (folder / "ffprobe").symlink_to(str(shutil.which("ffprobe")))
    return folder
