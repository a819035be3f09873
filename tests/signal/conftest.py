"""A stand-in for ffmpeg."""

import shutil

import pytest


@pytest.fixture
def fake_ffmpeg(tmp_path, monkeypatch):
    """Let a shell script stand in for ffmpeg, beside the real ffprobe."""

    def install(script):
        folder = tmp_path / "programs"
        folder.mkdir()
        (folder / "ffprobe").symlink_to(shutil.which("ffprobe"))
        (folder / "ffmpeg").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "ffmpeg").chmod(0o755)
        monkeypatch.setenv("FFMPEG_PATH", str(folder))

    return install
