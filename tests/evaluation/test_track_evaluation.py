import errno
import logging
import os

import numpy as np
import pytest

from sepcore.errors import DatasetError, OutputNotWritable
from sepcore.evaluation import excerpt, track_evaluation
from sepcore.evaluation.bsseval.signals import blocks
from sepcore.evaluation.estimates import FolderEstimates, ModelEstimates, UntouchedMixture
from sepcore.evaluation.excerpt import excerpt_of_track
from sepcore.evaluation.track_evaluation import estimated_track, evaluate_track, remove_other_scores
from sepcore.evaluation.track_scores import METRICS, read_track_scores
from sepcore.signal.audio_writer import write_audio
from tests.evaluation.songs import RATE, write_song
from tests.models import small_config
from tests.raised import raises

STEMS = ("vocals", "accompaniment")


class HalfOfTheMixture:
    """Estimates that are half of the mixture for each stem; counts its songs."""

    def __init__(self):
        self.config = small_config()
        self.songs = 0
        self.name = "half"

    def stream(self, row, mixture, references):
        self.songs += 1
        for block in blocks(mixture):
            yield np.repeat(block / 2, len(self.config.instruments), axis=0)

    def fingerprint(self, row):
        return self.name


@pytest.fixture
def row(tmp_path):
    return write_song(tmp_path, "a song", stems=STEMS, length=2 * RATE)


def write_estimates(folder, row, *, rate=RATE, length=2 * RATE, channels=2, leave_out=()):
    rng = np.random.default_rng(1)
    for name in STEMS:
        if name not in leave_out:
            waveform = rng.uniform(-0.4, 0.4, (length, channels)).astype(np.float32)
            write_audio(folder / "test" / row.name / f"{name}.wav", waveform, sample_rate=rate, bits=32)
    return FolderEstimates(folder, small_config())


def test_a_track_is_scored_beside_the_untouched_mixture(row, tmp_path):
    frames = read_track_scores(evaluate_track(row, HalfOfTheMixture(), tmp_path / "scores")).frames
    vocals = frames[frames.target == "vocals"]
    assert vocals.time_s.tolist() == [0.0, 1.0]
    # Half of the mixture errs by (accompaniment - vocals) / 2, the mixture by the accompaniment, as loud as the vocals.
    np.testing.assert_allclose(vocals.SDR, 10 * np.log10(2), atol=0.2)
    np.testing.assert_allclose(vocals.mixture_SDR, 0, atol=0.2)


def test_a_scored_track_is_not_scored_again_until_model_audio_or_engine_change(row, tmp_path):
    estimates = HalfOfTheMixture()

    def songs(**options):
        evaluate_track(row, estimates, tmp_path / "scores", **options)
        return estimates.songs

    assert [songs(), songs()] == [1, 1]
    estimates.name = "retrained"
    assert [songs(), songs()] == [2, 2]
    write_audio(row.mixture, np.full((2 * RATE, 2), 0.1, np.float32), sample_rate=RATE)
    assert [songs(), songs()] == [3, 3]
    assert songs(engine="stable") == 4


def test_killed_beside_the_scores_of_other_estimates_nobodys_are_taken_for_the_first_ones(row, tmp_path, monkeypatch):
    estimates, folder = HalfOfTheMixture(), tmp_path / "scores"
    evaluate_track(row, estimates, folder)
    excerpt_of_track(row, estimates, folder, 0.0)
    estimates.name, made = "B", estimates.songs

    for module, write, score in (
        (track_evaluation, "save_track_scores", lambda: evaluate_track(row, estimates, folder)),
        (excerpt, "write_excerpt", lambda: excerpt_of_track(row, estimates, folder, 0.0)),
    ):
        real = getattr(module, write)

        def written_and_killed(*arguments, real=real, **options):
            real(*arguments, **options)
            raise KeyboardInterrupt

        monkeypatch.setattr(module, write, written_and_killed)
        with pytest.raises(KeyboardInterrupt):
            score()
        monkeypatch.setattr(module, write, real)
    estimates.name = "half"
    evaluate_track(row, estimates, folder)
    excerpt_of_track(row, estimates, folder, 0.0)
    assert estimates.songs == made + 4
    (folder / "made_from" / f"{row.name}.json").write_text("null")  # as it is left by a kill
    remove_other_scores(folder, ())
    assert not list((folder / "test").iterdir())


@pytest.mark.parametrize("engine", ["stable", "museval"])
def test_every_engine_scores_from_files(row, tmp_path, engine):
    estimates = write_estimates(tmp_path / "theirs", row)
    fast, other = (
        read_track_scores(evaluate_track(row, estimates, tmp_path / name, name)).frames for name in ("fast", engine)
    )
    for metric in METRICS:
        np.testing.assert_allclose(other[metric], fast[metric], rtol=0, atol=2e-5)


def test_nothing_is_left_beside_the_scores(row, tmp_path):
    evaluate_track(row, HalfOfTheMixture(), tmp_path / "scores")
    files = {str(path.relative_to(tmp_path / "scores")) for path in (tmp_path / "scores").rglob("*") if path.is_file()}
    assert files == {"test/a song.json", "made_from/a song.json"}


def test_a_full_disk_names_the_folder_and_the_song_and_what_is_kept(row, tmp_path):
    class OnAFullDisk(HalfOfTheMixture):
        def stream(self, row, mixture, references):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with raises(OutputNotWritable, "a song", os.strerror(errno.ENOSPC), path=tmp_path / "scores", hint="-o") as full:
        evaluate_track(row, OnAFullDisk(), tmp_path / "scores")
    assert full.value.errno == errno.ENOSPC


def test_references_of_a_lossy_file_are_rounded_to_16_bits_and_others_are_not(row, tmp_path):
    lossy = tmp_path / "vocals.mp3"
    write_audio(lossy, np.random.default_rng(2).uniform(-0.4, 0.4, (2 * RATE, 2)).astype(np.float32), sample_rate=RATE)
    mixed = type(row)(row.name, row.mixture, (("vocals", lossy), row.stems[1]), row.duration_s)
    with estimated_track(mixed, UntouchedMixture(small_config()), tmp_path) as track:
        steps = track.references.read(0, RATE) * 32768
    assert (steps[0] == np.rint(steps[0])).all()
    assert not (steps[1] == np.rint(steps[1])).all()


def test_a_model_is_heard_as_it_streams(row, tmp_path):
    class Separator:
        name, config, settings = "double", small_config(), None

        def fingerprint(self):
            return "double"

        def stream(self, pieces):
            for piece in pieces:
                yield {name: factor * piece for factor, name in enumerate(self.config.instruments, start=2)}

    with estimated_track(row, ModelEstimates(Separator()), tmp_path) as track:
        mixture = track.mixture.read(0, 2 * RATE)
        np.testing.assert_array_equal(track.estimates.read(0, 2 * RATE), np.concatenate([2 * mixture, 3 * mixture]))


# Another program's estimates


def test_estimates_of_another_program_are_scored_and_scored_again_when_they_change(row, tmp_path):
    estimates = write_estimates(tmp_path / "theirs", row)
    path = evaluate_track(row, estimates, tmp_path / "scores")
    first = path.read_text()
    write_estimates(tmp_path / "theirs", row, length=RATE)
    evaluate_track(row, estimates, tmp_path / "scores")
    assert path.read_text() != first


def test_one_stem_of_another_length_is_named(row, tmp_path, caplog):
    estimates = write_estimates(tmp_path / "theirs", row)
    short = tmp_path / "theirs" / "test" / row.name / "accompaniment.wav"
    write_audio(short, np.full((RATE, 2), 0.1, np.float32), sample_rate=RATE, bits=32)
    with caplog.at_level(logging.WARNING):
        evaluate_track(row, estimates, tmp_path / "scores")
    assert [record.getMessage() for record in caplog.records] == [
        "a song: the estimate of accompaniment is 8000 samples shorter than the track; filled with zeros"
    ]


def test_scores_of_tracks_that_are_not_of_the_evaluation_go_and_other_programs_stay(row, tmp_path):
    out = tmp_path / "scores"
    kept = evaluate_track(row, HalfOfTheMixture(), out)
    gone = evaluate_track(type(row)("another", row.mixture, row.stems, row.duration_s), HalfOfTheMixture(), out)
    theirs = out / "test" / "theirs.json"
    theirs.write_text("{}")
    remove_other_scores(out, [kept])
    assert (kept.is_file(), gone.is_file(), theirs.is_file()) == (True, False, True)


@pytest.mark.parametrize(
    ("length", "said"), [(RATE, "8000 samples shorter"), (2 * RATE + 5, "5 samples longer than the track; cut")]
)
def test_estimates_of_another_length_are_filled_or_cut_with_a_warning(row, tmp_path, caplog, length, said):
    estimates = write_estimates(tmp_path, row, length=length)
    with caplog.at_level(logging.WARNING), estimated_track(row, estimates, tmp_path) as track:
        assert track.estimates.shape == track.references.shape
    assert said in caplog.text


@pytest.mark.parametrize(
    ("given", "named", "about", "hint"),
    [
        ({"rate": 16000}, ["16000 Hz and two channels", "reference 8000 Hz"], "vocals.wav", ""),
        ({"channels": 1}, ["8000 Hz and one channel", "reference 8000 Hz and two channels"], "vocals.wav", ""),
        ({"leave_out": ["accompaniment"]}, ["accompaniment"], "", "accompaniment.wav"),
        ({"leave_out": STEMS}, ["no such folder"], "", "each stem"),
    ],
)
def test_estimates_that_do_not_fit_name_the_track_and_the_file(row, tmp_path, given, named, about, hint):
    estimates = write_estimates(tmp_path / "theirs", row, **given)
    with raises(DatasetError, "a song", *named, path=tmp_path / "theirs" / "test" / "a song" / about, hint=hint):
        evaluate_track(row, estimates, tmp_path / "scores")


def test_a_sample_that_is_nan_names_the_track(row, tmp_path):
    estimates = write_estimates(tmp_path, row)
    broken = np.full((2 * RATE, 2), np.nan, np.float32)
    write_audio(tmp_path / "test" / row.name / "vocals.wav", broken, sample_rate=RATE, bits=32)
    with raises(DatasetError, "a song", "estimates", "NaN"):
        evaluate_track(row, estimates, tmp_path / "scores")


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        (["vocals.wav", "vocals.mp3"], "vocals.wav"),
        (["vocals.flac", "vocals.json", "vocals.txt"], "vocals.flac"),
        (["vocals.WAV", "vocals.ogg", "vocals.npy"], "vocals.WAV"),
    ],
)
def test_of_the_files_of_a_stem_audio_counts_and_wav_first(tmp_path, row, files, taken):
    estimates, folder = vocals_in(tmp_path, row, files)
    assert estimates._files(row) == [folder / taken]


@pytest.mark.parametrize(
    ("files", "named", "hint"),
    [
        (["vocals.mp3", "vocals.flac"], ["vocals.flac and vocals.mp3"], "Keep one"),
        (["vocals.wav", "vocals.WAV"], ["vocals.WAV and vocals.wav"], "Keep one"),
        (["vocals.json"], ["no estimate of vocals"], "vocals.wav"),
    ],
)
def test_two_files_of_a_stem_are_refused_as_is_none(tmp_path, row, files, named, hint):
    estimates, folder = vocals_in(tmp_path, row, files)
    with raises(DatasetError, "a song", *named, path=folder, hint=hint):
        estimates.fingerprint(row)


def vocals_in(tmp_path, row, files):
    """Estimates of vocals alone that have these files of a song; and the song's folder."""
    folder = tmp_path / "theirs" / row.name
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_text("{}")
    return FolderEstimates(tmp_path / "theirs", small_config(instrument_list=["vocals"])), folder


# Stems of other lengths than their mixture's


@pytest.mark.parametrize(
    ("accompaniment_s", "said"),
    [
        (2.05, None),
        (1.9, "a song: accompaniment is 1.90 s long, the mixture 2.00 s; scored on the 1.90 s that all of them have"),
        (2.9, "a song: accompaniment is 2.90 s long, the mixture 2.00 s; scored on the 2.00 s that all of them have"),
    ],
)
def test_a_stem_more_than_50_ms_from_its_mixture_is_named_and_scored_on_what_all_have(
    row, tmp_path, caplog, accompaniment_s, said
):
    write_audio(row.stems[1][1], np.full((round(accompaniment_s * RATE), 2), 0.1, np.float32), sample_rate=RATE)
    with caplog.at_level(logging.WARNING):
        evaluate_track(row, HalfOfTheMixture(), tmp_path / "scores")
    assert [record.getMessage() for record in caplog.records] == ([said] if said else [])


@pytest.mark.parametrize("which", ["mixture", *STEMS])
@pytest.mark.parametrize("length_s", [0.9, 3.1, 60.0])
def test_a_song_one_of_whose_files_is_more_than_a_second_off_is_refused(row, tmp_path, which, length_s):
    path = dict(row.stems, mixture=row.mixture)[which]
    write_audio(path, np.full((round(length_s * RATE), 2), 0.1, np.float32), sample_rate=RATE)
    stems = STEMS if which == "mixture" else [which]
    lengths = [f"{name} is {2 if which == 'mixture' else length_s:.2f} s long" for name in stems]
    mixture_s = length_s if which == "mixture" else 2
    with raises(DatasetError, "a song", *lengths, f"mixture {mixture_s:.2f} s"):
        evaluate_track(row, HalfOfTheMixture(), tmp_path / "scores")
    assert not (tmp_path / "scores" / "test").exists()
