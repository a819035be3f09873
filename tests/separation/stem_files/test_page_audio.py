import numpy as np
import pytest

from sepcore.errors import AudioDecodeError
from sepcore.separation.stem_files.page_audio import AudioFormat, mp3_format, write_page_audio
from sepcore.signal.audio_reader import probe_audio, read_waveform
from tests.page.songs import RATE, tone, write_wav
from tests.raised import raises

FORMAT = AudioFormat(RATE, 1)


@pytest.mark.parametrize(
    ("sample_rate", "num_channels", "expected"),
    [
        (44100, 2, AudioFormat(44100, 2)),
        (44100, 1, AudioFormat(44100, 1)),
        (37800, 2, AudioFormat(44100, 2)),
        (96000, 6, AudioFormat(48000, 2)),
        (4000, 1, AudioFormat(8000, 1)),
    ],
)
def test_a_page_has_the_rate_of_mp3_that_keeps_the_most(sample_rate, num_channels, expected):
    assert mp3_format(sample_rate, num_channels) == expected


def test_an_excerpt_starts_and_ends_where_it_is_said_to(tmp_path):
    waveform = np.concatenate([tone(440, 1.0), tone(880, 1.0), tone(1320, 1.0)])
    file = write_wav(tmp_path / "song.wav", waveform)
    write_page_audio(tmp_path / "page.mp3", file, FORMAT, offset_s=1.0, duration_s=1.0)
    assert probe_audio(tmp_path / "page.mp3").codec == "mp3"
    heard = read_waveform(tmp_path / "page.mp3", sample_rate=RATE, num_channels=1)
    assert len(heard) == RATE
    np.testing.assert_allclose(heard[400:-400], waveform[RATE + 400 : 2 * RATE - 400], atol=0.02)


def test_song_and_stem_stay_in_step_to_the_sample(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * RATE, 1)).astype(np.float32)
    song, stem = write_wav(tmp_path / "song.wav", noise), write_wav(tmp_path / "stem.wav", noise[RATE:])
    write_page_audio(tmp_path / "0.mp3", song, FORMAT, offset_s=1.0)
    write_page_audio(tmp_path / "1.mp3", stem, FORMAT)
    mixture, alone = (
        read_waveform(tmp_path / f"{number}.mp3", sample_rate=RATE, num_channels=1)[:, 0] for number in range(2)
    )
    lags = np.correlate(mixture[4000:8000], alone[4000:8000], "full")
    assert lags.argmax() == 3999


def test_the_waveform_has_the_greatest_sample_of_each_part(tmp_path):
    waveform = np.zeros((1200 * 512, 1), np.float32)
    waveform[512 * 7 + 100], waveform[512 * 9 + 511] = -0.5, 2.0
    file = tmp_path / "song.flac"
    write_wav(file.with_suffix(".wav"), waveform)
    peaks = write_page_audio(tmp_path / "page.mp3", file.with_suffix(".wav"), FORMAT)
    assert len(peaks) == 1200
    assert {number: peak for number, peak in enumerate(peaks) if peak} == {7: 128, 9: 255}


@pytest.mark.parametrize(("num_samples", "num_parts"), [(1, 1), (257, 2), (256 * 1201, 1200), (600_000, 1200)])
def test_a_waveform_is_never_longer_than_a_page_is_wide(num_samples, num_parts, tmp_path):
    file = write_wav(tmp_path / "song.wav", np.full((num_samples, 1), 0.2, np.float32))
    assert write_page_audio(tmp_path / "page.mp3", file, FORMAT) == bytes([51] * num_parts)


def test_what_is_no_audio_leaves_nothing(tmp_path):
    (tmp_path / "song.wav").write_text("no audio")
    with raises(AudioDecodeError, "(ffprobe exit code 1)", path=tmp_path / "song.wav"):
        write_page_audio(tmp_path / "page.mp3", tmp_path / "song.wav", FORMAT)
    assert not (tmp_path / "page.mp3").exists()
