import json

import numpy as np
import pytest
from PIL import Image

from sepcore.errors import DatasetError
from sepcore.evaluation.excerpt import read_excerpt, write_excerpt
from sepcore.signal.audio_reader import probe_audio, read_waveform
from tests.evaluation.report.evaluations import tone_excerpt
from tests.models import small_config
from tests.raised import raises

HOSTILE = ("<script>alert(1)</script>", "\"quoted\" / 'slashed' \\", "曲 – $x_{", "../up")


def silence(seconds=0.5, channels=2):
    return np.zeros((round(seconds * 8000), channels), np.float32)


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), float).sum(axis=2)


def test_an_excerpt_is_read_as_it_was_written(tmp_path):
    excerpt = tone_excerpt(tmp_path / "one", "A – $song", seconds=2.0, start_s=42.5)
    assert read_excerpt(tmp_path / "one") == excerpt
    assert (excerpt.track, excerpt.start_s, excerpt.duration_s, excerpt.top_hz) == ("A – $song", 42.5, 2.0, 4000.0)
    assert [stem.name for stem in excerpt.stems] == ["vocals", "bass"]
    files = {excerpt.mixture.name, *(path.name for s in excerpt.stems for path in (s.estimate, s.reference, s.picture))}
    assert files == {path.name for path in (tmp_path / "one").iterdir()} - {"excerpt.json"}
    assert len(files) == 7


def test_each_file_has_the_sound_of_its_name(tmp_path):
    excerpt = tone_excerpt(tmp_path / "one", seconds=2.0)
    vocals = read_waveform(excerpt.stems[0].reference, sample_rate=8000, num_channels=2)
    bass = read_waveform(excerpt.stems[1].reference, sample_rate=8000, num_channels=2)
    mixture = read_waveform(excerpt.mixture, sample_rate=8000, num_channels=2)
    for waveform, tones_hz in ((vocals, [500]), (bass, [1000]), (mixture, [500, 1000])):
        spectrum = np.abs(np.fft.rfft(waveform[4000:12000, 0]))
        assert sorted(np.argsort(spectrum)[-len(tones_hz) :]) == tones_hz
    assert probe_audio(excerpt.mixture).codec == "mp3"


def test_names_may_be_any_text(tmp_path):
    stems = {name: silence() for name in HOSTILE}
    excerpt = write_excerpt(
        tmp_path / "one",
        track=HOSTILE[0],
        start_s=0.0,
        mixture=silence(),
        references=stems,
        estimates=stems,
        config=small_config(),
    )
    assert tuple(stem.name for stem in excerpt.stems) == HOSTILE
    assert read_excerpt(tmp_path / "one") == excerpt
    assert {path.parent for path in tmp_path.rglob("*.*")} == {tmp_path / "one"}


def test_what_mp3_cannot_hold_is_kept_as_flac(tmp_path):
    stems = {"vocals": silence(channels=3)}
    excerpt = write_excerpt(
        tmp_path / "one",
        track="a",
        start_s=0.0,
        mixture=silence(channels=3),
        references=stems,
        estimates=stems,
        config=small_config(n_channels=3),
    )
    assert {excerpt.mixture.suffix, excerpt.stems[0].estimate.suffix} == {".flac"}


def test_the_picture_shows_the_estimate_above_the_reference_over_exactly_the_excerpts_time(tmp_path):
    second = np.zeros((16000, 2), np.float32)
    second[8000:] = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)[:, None]
    first = second[::-1].copy()
    excerpt = write_excerpt(
        tmp_path / "one",
        track="a",
        start_s=0.0,
        mixture=first,
        references={"vocals": second},
        estimates={"vocals": first},
        config=small_config(),
    )
    picture = pixels(excerpt.stems[0].picture)
    # The brightest line of each row of the picture: a tone of 1000 Hz below a top of 4000 Hz.
    for row, heard in zip(np.split(picture, 2), (slice(0, 500), slice(500, 1000)), strict=True):
        assert row.shape[1] == 1000
        brightest = row.mean(axis=1).argmax()
        assert 1 - (brightest + 0.5) / len(row) == pytest.approx(0.25, abs=0.02)
        loud = row[brightest] > row[brightest].max() / 2
        assert loud[heard].mean() > 0.97
        assert loud.sum() == pytest.approx(500, abs=20)


def test_a_quieter_estimate_is_darker_than_its_reference(tmp_path):
    loud = 0.3 * np.random.default_rng(0).standard_normal((16000, 2)).astype(np.float32)
    excerpt = write_excerpt(
        tmp_path / "one",
        track="a",
        start_s=0.0,
        mixture=loud,
        references={"vocals": loud},
        estimates={"vocals": loud / 100},
        config=small_config(),
    )
    above, below = np.split(pixels(excerpt.stems[0].picture), 2)
    assert above.mean() < below.mean() - 100


@pytest.mark.parametrize("samples", [1, 100, 4000])
@pytest.mark.parametrize("level", [0.0, np.nan])
def test_silence_nan_and_a_single_sample_can_be_written(samples, level, tmp_path):
    waveform = np.full((samples, 2), level, np.float32)
    excerpt = write_excerpt(
        tmp_path / "one",
        track="a",
        start_s=0.0,
        mixture=waveform,
        references={"vocals": silence(samples / 8000)},
        estimates={"vocals": waveform},
        config=small_config(),
    )
    assert pixels(excerpt.stems[0].picture).max() < 60


def test_an_excerpt_that_stands_there_is_replaced(tmp_path):
    tone_excerpt(tmp_path / "one", "old", stems=("a", "b", "c"), seconds=0.5)
    excerpt = tone_excerpt(tmp_path / "one", "new", stems=("a",), seconds=0.5)
    assert read_excerpt(tmp_path / "one") == excerpt
    assert len(list((tmp_path / "one").iterdir())) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_folder_without_an_excerpt_is_named_with_the_cure(tmp_path):
    with raises(DatasetError, "no excerpt", path=tmp_path / "nothing", hint="Evaluate again"):
        read_excerpt(tmp_path / "nothing")


def test_an_excerpt_of_which_a_file_is_gone_is_refused(tmp_path):
    tone_excerpt(tmp_path / "one", seconds=0.5).stems[1].picture.unlink()
    with raises(DatasetError, "02.png", path=tmp_path / "one", hint="Evaluate again"):
        read_excerpt(tmp_path / "one")


@pytest.mark.parametrize("name", ["../secret.mp3", "/etc/passwd", "", 3, None])
def test_an_excerpt_leads_to_no_file_outside_its_folder(name, tmp_path):
    tone_excerpt(tmp_path / "one", seconds=0.5)
    (tmp_path / "secret.mp3").write_bytes(b"secret")
    content = json.loads((tmp_path / "one" / "excerpt.json").read_text("utf-8"))
    (tmp_path / "one" / "excerpt.json").write_text(json.dumps({**content, "mixture": name}), "utf-8")
    with raises(DatasetError, "no excerpt", path=tmp_path / "one", hint="Evaluate again"):
        read_excerpt(tmp_path / "one")
