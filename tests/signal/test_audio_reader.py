import errno
import logging
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from sepcore.errors import AudioDecodeError, FfmpegMissing
from sepcore.signal.audio_reader import AudioInfo, open_native, probe_audio, read_blocks, read_waveform
from sepcore.system.os_errors import fix_for
from tests.raised import raises

RATE = 44100
OTHER_RATE = 22050  # not the files': then it is ffmpeg that reads them


def noise(seconds=0.5, channels=2, seed=0, rate=RATE):
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.5, 0.5, (round(seconds * rate), channels)).astype(np.float32)


def save(path, waveform, rate=RATE, **options):
    soundfile.write(path, waveform, rate, **options)
    return path


def run_ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *map(str, arguments)], check=True)


def read(path, num_channels=2, **options):
    return read_waveform(path, sample_rate=RATE, num_channels=num_channels, **options)


def running_ffmpegs():
    return sum(child.name() == "ffmpeg" for child in psutil.Process().children())  # zombies too


@pytest.fixture
def song(tmp_path):
    return save(tmp_path / "song.wav", noise(2.5), subtype="FLOAT")


@pytest.fixture
def mp3(tmp_path, song):
    run_ffmpeg("-i", song, "-b:a", "128k", tmp_path / "song.mp3")
    return tmp_path / "song.mp3"


@pytest.mark.parametrize(
    ("suffix", "subtype"), [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_16")]
)
def test_lossless_files_give_the_samples_that_another_library_reads(tmp_path, suffix, subtype):
    path = save(tmp_path / f"song.{suffix}", noise(), subtype=subtype)
    expected, _ = soundfile.read(path, dtype="float32")
    waveform = read(path)
    assert waveform.dtype == np.float32
    np.testing.assert_array_equal(waveform, expected)


def test_all_blocks_but_the_last_have_the_length_asked_for(song):
    blocks = list(read_blocks(song, sample_rate=RATE, num_channels=2, block_samples=50_000))
    assert [block.shape for block in blocks] == [(50_000, 2), (50_000, 2), (10_250, 2)]
    np.testing.assert_array_equal(np.concatenate(blocks), noise(2.5))


def test_a_block_may_be_changed_by_its_reader(song):
    for block in read_blocks(song, sample_rate=RATE, num_channels=2):
        block *= 0.5


def test_another_sample_rate_is_converted_without_changing_pitch_or_length(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(48_000) / 48_000)
    waveform = read(save(tmp_path / "tone.wav", np.stack([tone, tone], axis=1), rate=48_000))
    assert len(waveform) == pytest.approx(RATE, abs=1)
    spectrum = np.abs(np.fft.rfft(waveform[:, 0] * np.hanning(len(waveform))))
    assert np.argmax(spectrum) * RATE / len(waveform) == pytest.approx(1000, abs=1)
    assert np.abs(waveform[1000:-1000]).max() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("offset_s", "duration_s"), [(0.0, 0.25), (0.3, 1 / 3), (12_345 / RATE, 6_789 / RATE), (1.7, 0.2), (2.0, None)]
)
def test_an_excerpt_is_exact_to_the_sample(song, offset_s, duration_s):
    start = round(offset_s * RATE)
    stop = None if duration_s is None else start + round(duration_s * RATE)
    np.testing.assert_array_equal(read(song, offset_s=offset_s, duration_s=duration_s), noise(2.5)[start:stop])


def test_an_excerpt_of_an_mp3_has_the_samples_of_the_whole(mp3):
    excerpt = read(mp3, offset_s=1.5, duration_s=0.5)
    start = round(1.5 * RATE)
    np.testing.assert_allclose(excerpt, read(mp3)[start : start + len(excerpt)], atol=1e-6)


def test_mono_is_doubled_at_its_own_level(tmp_path):
    waveform = read(save(tmp_path / "mono.wav", noise(channels=1), subtype="FLOAT"))
    np.testing.assert_array_equal(waveform, np.repeat(noise(channels=1), 2, axis=1))


def test_stereo_becomes_mono_as_the_mean_of_its_channels(tmp_path):
    waveform = read(save(tmp_path / "stereo.wav", noise(), subtype="FLOAT"), num_channels=1)
    np.testing.assert_allclose(waveform[:, 0], noise().mean(axis=1), atol=1e-7)


def test_surround_keeps_its_centre_cannot_clip_and_is_logged_once(tmp_path, caplog):
    path = tmp_path / "surround.wav"
    save(path, np.tile(np.float32([0, 0, 0.8, 0, 0, 0]), (RATE, 1)), format="WAVEX", subtype="FLOAT")
    with caplog.at_level(logging.INFO):
        waveform = read(path)
    gain = np.sqrt(0.5) / (1 + 2 * np.sqrt(0.5))  # ITU-R BS.775, scaled so that six full channels reach full scale
    np.testing.assert_allclose(waveform, 0.8 * gain, rtol=1e-4)
    assert [record.getMessage() for record in caplog.records] == [f"{path}: 6 channels downmixed to stereo"]


def test_surround_is_left_alone_where_the_model_takes_as_many_channels(tmp_path):
    path = save(tmp_path / "surround.wav", noise(0.1, channels=6), format="WAVEX", subtype="FLOAT")
    np.testing.assert_array_equal(read(path, num_channels=6), noise(0.1, channels=6))


def test_stereo_for_a_model_of_six_channels_is_refused(song):
    with raises(AudioDecodeError, 2, 6, path=song, hint=6):
        read(song, num_channels=6)


def test_a_video_gives_the_audio_stream_that_is_asked_for(tmp_path):
    path = tmp_path / "video.mp4"
    pitches = (440, 1200)
    tones = [item for hz in pitches for item in ("-f", "lavfi", "-i", f"sine=frequency={hz}:sample_rate={RATE}")]
    picture = ("-f", "lavfi", "-i", "testsrc=size=64x64:rate=5")
    run_ffmpeg(*picture, *tones, "-map", "0", "-map", "1", "-map", "2", "-c:a", "aac", "-t", "1", path)
    assert probe_audio(path).num_streams == 2
    for stream, hz in enumerate(pitches):
        spectrum = np.abs(
            np.fft.rfft(
                np.concatenate(list(read_blocks(path, sample_rate=RATE, num_channels=2, stream=stream)))[:RATE, 0]
            )
        )
        assert np.argmax(spectrum) == pytest.approx(hz, abs=2)
    with raises(AudioDecodeError, "stream 2", path=path, hint="2, counted from 0"):
        read_blocks(path, sample_rate=RATE, num_channels=2, stream=2)


def test_probing_tells_what_the_file_says_about_itself(song):
    assert probe_audio(song) == AudioInfo(RATE, 2, duration_s=2.5, num_streams=1, codec="pcm_f32le")


@pytest.mark.parametrize(
    "name",
    ["Ærø – 日本.wav", "-x.wav", "100%d %20.wav", "a:b.wav", "pipe:1.wav", "with 'quotes'.wav", "Latin-1 \udce9.wav"],
)
def test_any_file_name_can_be_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = save("plain.wav", noise(0.1), subtype="FLOAT")
    np.testing.assert_array_equal(read(Path(path).rename(name)), noise(0.1))


def test_closing_early_leaves_no_process_behind(song):
    blocks = read_blocks(song, sample_rate=OTHER_RATE, num_channels=2, block_samples=100)
    next(blocks)
    assert running_ffmpegs() == 1
    blocks.close()
    assert running_ffmpegs() == 0


def test_a_reader_that_is_never_started_starts_no_process(song):
    read_blocks(song, sample_rate=OTHER_RATE, num_channels=2)
    assert running_ffmpegs() == 0


def test_a_wav_needs_no_ffmpeg(song, monkeypatch):
    monkeypatch.setenv("FFMPEG_PATH", "/nowhere")
    np.testing.assert_array_equal(read(song, offset_s=1.0), noise(2.5)[RATE:])
    np.testing.assert_array_equal(next(open_native(song).blocks), noise(2.5))


@pytest.mark.parametrize("reader", ["libsndfile", "ffmpeg"])
@pytest.mark.parametrize("channels", [1, 2, 6, 8, 12])
def test_a_file_opened_natively_keeps_its_rate_its_channels_and_its_samples(tmp_path, monkeypatch, reader, channels):
    waveform = noise(0.1, channels, rate=96_000)
    path = save(tmp_path / "song.wav", waveform, rate=96_000, format="WAVEX", subtype="FLOAT")
    if reader == "ffmpeg":
        monkeypatch.setattr("sepcore.signal.audio_reader.probe_sndfile", lambda path: None)
    audio = open_native(path, block_samples=4000)
    assert (audio.sample_rate, audio.num_channels) == (96_000, channels)
    blocks = list(audio.blocks)
    assert [block.shape for block in blocks] == [(4000, channels), (4000, channels), (1600, channels)]
    np.testing.assert_array_equal(np.concatenate(blocks), waveform)


@pytest.mark.parametrize("reader", ["libsndfile", "ffmpeg"])
def test_samples_that_are_not_finite_are_let_through_natively(tmp_path, monkeypatch, reader):
    waveform = np.float32([[0.5, np.nan], [np.inf, -np.inf], [7.0, 0.0]])
    path = save(tmp_path / "song.wav", waveform, subtype="FLOAT")
    if reader == "ffmpeg":
        monkeypatch.setattr("sepcore.signal.audio_reader.probe_sndfile", lambda path: None)
    np.testing.assert_array_equal(next(open_native(path).blocks), waveform)


def test_each_stream_of_a_file_can_be_opened_natively(tmp_path):
    path = tmp_path / "stems.mka"
    run_ffmpeg(
        *("-f", "lavfi", "-i", "sine=sample_rate=8000:duration=1", "-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo"),
        *("-map", "0", "-map", "1", "-c:a", "pcm_s16le", "-t", "1", path),
    )
    first, second = open_native(path), open_native(path, stream=1)
    assert (first.sample_rate, first.num_channels, sum(map(len, first.blocks))) == (8000, 1, 8000)
    assert (second.sample_rate, second.num_channels, sum(map(len, second.blocks))) == (48_000, 2, 48_000)
    with raises(AudioDecodeError, "stream 2", path=path, hint="2, counted from 0"):
        open_native(path, stream=2)


def test_closing_a_file_opened_natively_leaves_no_process_behind(mp3):
    blocks = open_native(mp3, block_samples=100).blocks
    assert running_ffmpegs() == 0
    next(blocks)
    assert running_ffmpegs() == 1
    blocks.close()
    assert running_ffmpegs() == 0


def text(path):
    path.write_text("this is not music\n" * 100)


def picture(path):
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=size=16x16", "-frames:v", "1", path)


@pytest.mark.parametrize(
    ("name", "make", "fact"),
    [
        ("missing.wav", lambda path: None, "no such file"),
        ("folder.wav", Path.mkdir, "folder"),
        ("empty.wav", Path.touch, "0 bytes"),
        ("text.mp3", text, "(ffprobe exit code 1)"),
        ("picture.png", picture, "no audio stream"),
        ("no samples.wav", lambda path: save(path, noise(0)), "no audio"),
        ("nan.wav", lambda path: save(path, noise() * np.nan, subtype="FLOAT"), "NaN"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_the_file_and_the_reason(tmp_path, name, make, fact):
    path = tmp_path / name
    make(path)
    with raises(AudioDecodeError, fact, path=path) as error:
        read(path)
    assert "\n" not in str(error.value)
    assert running_ffmpegs() == 0
    if fact != "NaN":
        with raises(AudioDecodeError, error.value.problem, path=path, hint=error.value.hint):
            next(open_native(path).blocks)


def test_what_no_program_understands_is_told_in_ffprobes_own_words(tmp_path):
    text(tmp_path / "text.mp3")
    command = ["ffprobe", "-v", "error", f"file:{tmp_path}/text.mp3"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    reason = said.splitlines()[-1].removeprefix(f"file:{tmp_path}/text.mp3: ")
    with raises(AudioDecodeError, f": {reason} (ffprobe exit code 1)", path=tmp_path / "text.mp3"):
        read(tmp_path / "text.mp3")


def test_a_file_that_ffmpeg_may_not_read_carries_the_systems_number(mp3, fake_ffmpeg):
    refused = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    fake_ffmpeg(f"echo 'file:{mp3}: {refused.strerror}' >&2; exit 1")
    with raises(AudioDecodeError, refused.strerror, path=mp3, hint=fix_for(refused, reading=True)) as error:
        read(mp3)
    assert error.value.errno == errno.EACCES


def test_an_offset_beyond_the_end_is_an_error(song):
    with raises(AudioDecodeError, "after the offset", path=song):
        read(song, offset_s=60.0)


@pytest.mark.parametrize("wrong", [{"offset_s": -1.0}, {"duration_s": 0.0}])
def test_times_that_make_no_sense_are_refused(song, wrong):
    with pytest.raises(ValueError, match="expected >"):
        read(song, **wrong)


def test_a_truncated_file_gives_what_is_left_of_it_and_a_warning(tmp_path, caplog):
    path = save(tmp_path / "song.flac", noise(2.5))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    waveform = read(path)
    assert RATE < len(waveform) < 1.3 * RATE
    np.testing.assert_allclose(waveform, noise(2.5)[: len(waveform)], atol=1e-4)
    assert f"{path}: is damaged" in caplog.text


def test_an_ffmpeg_that_fails_midway_is_an_error_with_its_own_last_line_and_exit_code(song, fake_ffmpeg):
    fake_ffmpeg("head -c 8000 /dev/zero; echo '[wav @ 0x55aa] the disk is gone' >&2; exit 69")
    blocks = read_blocks(song, sample_rate=OTHER_RATE, num_channels=2)
    assert next(blocks).shape == (1000, 2)
    with raises(AudioDecodeError, ": the disk is gone (ffmpeg exit code 69)", path=song) as error:
        next(blocks)
    assert error.value.errno is None


def test_an_ffmpeg_that_complains_at_length_does_not_block(song, fake_ffmpeg):
    fake_ffmpeg("yes 'Header missing' | head -c 1000000 >&2; head -c 8000 /dev/zero")
    assert len(read_waveform(song, sample_rate=OTHER_RATE, num_channels=2)) == 1000


def test_a_missing_ffmpeg_is_one_line_that_says_how_to_install_it(mp3, monkeypatch):
    monkeypatch.delenv("FFMPEG_PATH", raising=False)
    monkeypatch.setenv("PATH", "")
    with raises(FfmpegMissing, "PATH", hint="`apt install ffmpeg` or `brew install ffmpeg`") as error:
        read(mp3)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


def test_a_wrong_ffmpeg_path_is_named(mp3, monkeypatch, tmp_path):
    monkeypatch.setenv("FFMPEG_PATH", str(tmp_path / "nowhere"))
    with raises(FfmpegMissing, "FFMPEG_PATH", tmp_path / "nowhere", hint="FFMPEG_PATH"):
        read(mp3)


@pytest.mark.parametrize("given", [lambda binary: binary, lambda binary: Path(binary).parent], ids=["binary", "folder"])
def test_ffmpeg_path_is_the_program_or_its_folder(mp3, monkeypatch, given):
    monkeypatch.setenv("FFMPEG_PATH", str(given(shutil.which("ffmpeg"))))
    monkeypatch.setenv("PATH", "")
    assert len(read(mp3)) == pytest.approx(2.5 * RATE, abs=2000)
