"""A folder of files as they come: what can be separated is, for the rest one line names file and reason."""

import subprocess
from types import SimpleNamespace

import pytest

from sepcore.batch.plan import find_songs, plan_batch
from sepcore.batch.run import separate_song
from sepcore.separation.stem_files.names import DEFAULT_FORMAT
from sepcore.separation.stem_files.options import StemFileOptions
from sepcore.signal.audio_reader import probe_audio

# Options of ffmpeg that make each file, and its length in seconds.
GOOD = {
    "mono.wav": (["-f", "lavfi", "-i", "anoisesrc=d=2:r=44100", "-ac", "1"], 2),
    "8 kHz.flac": (["-f", "lavfi", "-i", "anoisesrc=d=2:r=8000", "-ac", "2"], 2),
    "96 kHz.wav": (["-f", "lavfi", "-i", "anoisesrc=d=2:r=96000", "-ac", "2", "-c:a", "pcm_s24le"], 2),
    "surround.flac": (["-f", "lavfi", "-i", "anoisesrc=d=2:r=48000,aformat=channel_layouts=5.1"], 2),
    "silent.mp3": (["-f", "lavfi", "-i", "anullsrc=r=44100", "-t", "2"], 2),
    "short.wav": (["-f", "lavfi", "-i", "anoisesrc=d=0.05:r=8000"], 0.05),
    "Ænima – 東京 [live] {x} %d.ogg": (["-f", "lavfi", "-i", "anoisesrc=d=2:r=44100", "-c:a", "libvorbis"], 2),
    "-n -leading dash.wav": (["-f", "lavfi", "-i", "anoisesrc=d=2:r=44100"], 2),
    f"{'long ' * 50}.wav": (["-f", "lavfi", "-i", "anoisesrc=d=2:r=44100"], 2),
    "film.mkv": (
        ["-f", "lavfi", "-i", "testsrc=d=2:s=64x64:r=5", "-f", "lavfi", "-i", "anoisesrc=d=2:r=44100", "-c:a", "flac"],
        2,
    ),
}
BAD = {
    "empty.wav": "(0 bytes)",
    "text.mp3": "(ffprobe exit code 1)",
    "picture only.mp4": "no audio stream",
    "no samples.wav": "no audio",
}


def ffmpeg(path, options):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *options, f"file:{path}"], check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, separator):
    """All of them separated: their outcomes and plans by name."""
    root = tmp_path_factory.mktemp("odd")
    songs = root / "songs"
    songs.mkdir()
    for name, (options, _) in GOOD.items():
        ffmpeg(songs / name, options)
    (songs / "empty.wav").touch()
    (songs / "text.mp3").write_text("not music")
    ffmpeg(songs / "picture only.mp4", ["-f", "lavfi", "-i", "testsrc=d=1:s=64x64:r=5"])
    ffmpeg(songs / "no samples.wav", ["-f", "lavfi", "-i", "anoisesrc=d=1:r=8000", "-t", "0"])
    ffmpeg(root / "whole.mp3", ["-f", "lavfi", "-i", "anoisesrc=d=4:r=44100", "-b:a", "64k"])
    (songs / "truncated.mp3").write_bytes((root / "whole.mp3").read_bytes()[:16_000])
    out = root / "out"
    options = StemFileOptions()
    planned = plan_batch(find_songs([songs]), out, separator.instruments, options, filename_format=DEFAULT_FORMAT)
    outcomes = {song.path.name: separate_song(separator, song, options) for song in planned}
    return SimpleNamespace(out=out, outcomes=outcomes, songs={song.path.name: song for song in planned})


def lengths(song):
    return [probe_audio(path).duration_s for path in song.stem_files.values()]


def test_every_file_has_an_outcome(folder):
    assert set(folder.outcomes) == {*GOOD, *BAD, "truncated.mp3"}


@pytest.mark.parametrize("name", GOOD)
def test_what_can_be_decoded_becomes_stems_of_its_length(folder, name):
    outcome, seconds = folder.outcomes[name], GOOD[name][1]
    assert (outcome.status, outcome.reason) == ("done", "")
    # mp3's encoder pads to whole frames.
    assert lengths(folder.songs[name]) == pytest.approx([seconds, seconds], abs=0.06 if name.endswith("mp3") else 1e-3)


def test_a_truncated_file_becomes_stems_of_what_is_there(folder):
    assert folder.outcomes["truncated.mp3"].status == "done"
    assert lengths(folder.songs["truncated.mp3"]) == pytest.approx([2, 2], abs=0.1)


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_is_one_line_that_names_file_and_reason(folder, name):
    outcome = folder.outcomes[name]
    assert outcome.status == "failed"
    assert outcome.reason.startswith(f"{outcome.song}: ")
    assert BAD[name] in outcome.reason
    assert "\n" not in outcome.reason


def test_nothing_half_written_is_left_and_nothing_of_the_bad_ones(folder):
    made = {path for path in folder.out.rglob("*") if path.is_file() and ".separated" not in path.parts}
    assert made == {
        path
        for name, song in folder.songs.items()
        if folder.outcomes[name].status == "done"
        for path in song.stem_files.values()
    }
    assert {path.name for path in folder.out.iterdir() if path.name[0] != "."} == {path.parent.name for path in made}
