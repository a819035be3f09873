import numpy as np
import pytest

from sepcore.dataset.check.findings import common_samples, find_issues
from sepcore.dataset.check.measure import measure_song
from tests.dataset.check.conftest import RATE, noise

# The small config needs 64 frames of 512 samples in steps of 128: 8576 samples, 1.07 s.
NEEDED = 8576


@pytest.fixture
def judged(config):
    """Severity and reason of all findings about a row."""

    def judge(row, *, for_training=True, config=config):
        findings = find_issues(row, measure_song(row, mix_name="mix"), config, for_training=for_training)
        assert all(finding.cure.endswith(".") for finding in findings)
        return [(finding.severity, finding.reason) for finding in findings]

    return judge


@pytest.fixture
def stems():
    return noise(1), noise(2)


def test_nothing_is_found_about_a_song_that_is_right(make_song, judged, stems):
    assert judged(make_song(sum(stems), *stems)) == []


def test_a_file_that_cannot_be_decoded_is_left_out_and_named(make_song, judged, stems):
    row = make_song(sum(stems), *stems)
    row.files[2].write_bytes(b"")
    row.files[1].unlink()
    assert judged(row) == [
        ("left out", f"vocals: {row.files[1]}: cannot be read (No such file or directory)"),
        ("left out", f"drums: {row.files[2]}: the file is empty (0 bytes)"),
    ]


def test_nan_is_left_out_with_its_count(make_song, judged, stems):
    vocals, drums = stems
    mixture = vocals + drums
    drums[7], drums[9, 0] = np.nan, np.inf
    row = make_song(mixture, vocals, drums)
    assert judged(row) == [("left out", f"drums has 3 sample(s) that are NaN or infinite ({row.files[2]})")]
    assert judged(row, for_training=False) == judged(row)


def test_another_number_of_channels_is_left_out_of_training_only(make_song, judged):
    vocals, drums = noise(1, channels=1), noise(2, channels=1)
    row = make_song(vocals + drums, vocals, drums)
    assert judged(row) == [("left out", "mix, vocals and drums: 1 channel(s), n_channels is 2")]
    assert judged(row, for_training=False) == []


def test_each_number_of_channels_is_told_with_its_files(make_song, judged):
    row = make_song(noise(1), noise(2, channels=1), noise(3, channels=6))
    assert ("left out", "vocals: 1 and drums: 6 channel(s), n_channels is 2") in judged(row)


@pytest.mark.parametrize(("samples", "left_out"), [(NEEDED, False), (NEEDED - 1, True)])
def test_a_song_needs_the_frames_of_a_segment(make_song, judged, samples, left_out):
    vocals, drums = noise(1)[:samples], noise(2)[:samples]
    expected = [("left out", "mix is 1.07 s long: 63 STFT frames, T needs 64")]
    assert judged(make_song(vocals + drums, vocals, drums)) == (expected if left_out else [])


def test_the_cure_for_a_short_song_says_how_long_it_must_be(make_song, config):
    row = make_song(noise(1, seconds=0.01), noise(2, seconds=0.01), noise(3, seconds=0.01))
    first, *_ = find_issues(row, measure_song(row, mix_name="mix"), config, for_training=True)
    assert first.reason == "mix is 0.01 s long: 0 STFT frames, T needs 64"
    assert first.cure == "Take a recording of 1.07 s or more, or lower T in the config."


def test_the_shortest_file_decides_at_the_configs_rate(make_song, judged, config):
    vocals, drums = noise(1, seconds=2), noise(2, seconds=2)
    row = make_song(vocals + drums, vocals, drums[: RATE // 2], rates=(RATE, RATE, RATE // 2))
    assert common_samples(measure_song(row, mix_name="mix"), config) == RATE
    assert ("left out", "drums is 1.00 s long: 59 STFT frames, T needs 64") in judged(row)
    assert not any(severity == "left out" for severity, _ in judged(row, for_training=False))


@pytest.mark.parametrize(
    ("duration_s", "taken"), [(2.4, None), (1.6, None), (2.6, "2.00"), (1.4, "1.40"), (100, "2.00")]
)
def test_the_shorter_of_the_csvs_and_the_files_duration_is_taken(make_song, judged, stems, duration_s, taken):
    expected = f"duration says {duration_s:.2f} s, mix has 2.00 s: chunks are taken from the first {taken} s"
    found = judged(make_song(sum(stems), *stems, duration_s=duration_s))
    assert found == ([("warning", expected)] if taken else [])


def test_where_songs_are_covered_the_warning_says_that_the_csvs_duration_is_not_taken(make_song, stems, config):
    row = make_song(sum(stems), *stems, duration_s=1.4)
    covering = config.model_copy(update={"chunks_per_song": "all"})
    (found,) = find_issues(row, measure_song(row, mix_name="mix"), covering, for_training=True)
    expected = 'duration says 1.40 s, mix has 2.00 s: chunks are taken from all of it, as n_chunks_per_song is "all"'
    assert (found.severity, found.reason) == ("warning", expected)


def test_stems_of_another_length_than_the_mixture_are_told_apart(make_song, judged):
    vocals, drums = noise(1, seconds=2.5), noise(2, seconds=1.5)
    mixture = noise(1) + np.pad(drums, ((0, RATE // 2), (0, 0)))
    row = make_song(mixture, vocals, drums)
    assert ("warning", "vocals is 0.50 s longer and drums is 0.50 s shorter than mix") in judged(row)
    row = make_song(mixture, noise(1)[: -RATE // 25], drums)
    assert ("warning", "drums is 0.50 s shorter than mix") in judged(row)


@pytest.mark.parametrize(("seconds", "severity"), [(1.1, "warning"), (0.9, "left out"), (3.1, "left out")])
def test_a_test_song_that_scoring_refuses_for_its_lengths_is_left_out(make_song, judged, seconds, severity):
    row = make_song(noise(1), noise(2), noise(3, seconds=seconds))
    off = f"drums is {abs(seconds - 2):.2f} s {'longer' if seconds > 2 else 'shorter'} than mix"
    assert (severity, off) in judged(row, for_training=False)
    assert ("warning", off) in judged(row)


def test_stems_that_do_not_add_up_are_told_with_the_residual(make_song, judged, stems):
    vocals, drums = stems
    found = judged(make_song(vocals + 0.5 * drums, vocals, drums))
    assert found == [
        ("warning", "the stems do not add up to mix: the difference is at -7.0 dB of it, expected -15 dB or less")
    ]
    assert judged(make_song(vocals + 0.8 * drums, vocals, drums)) == []


def test_a_stem_that_is_the_mixture_or_another_stem_is_named(make_song, judged, stems):
    vocals, drums = stems
    found = judged(make_song(vocals, vocals, drums))
    assert ("warning", "mix and vocals are the same audio") in found
    assert ("warning", "vocals and drums are the same audio") in judged(make_song(sum(stems), vocals, vocals))


def test_silent_files_are_named_but_not_as_the_same_audio(make_song, judged, stems):
    silence = 0 * stems[0]
    assert judged(make_song(silence, silence, silence)) == [
        ("warning", f"{signal} is silent (never above -60 dBFS)") for signal in ("mix", "vocals", "drums")
    ]


def test_clipping_above_a_thousandth_is_told_with_its_share(make_song, judged):
    vocals, drums = noise(1), noise(2)
    vocals[: RATE // 100] = 1
    vocals[1000 : 1000 + RATE // 100] = -1
    row = make_song(vocals + drums, vocals, drums)
    assert judged(row) == [("warning", "vocals is clipped: 1.0% of its samples are flat tops at full scale")]
    vocals = noise(1)
    vocals[:10] = 1
    assert judged(make_song(vocals + drums, vocals, drums)) == []


def test_integers_in_a_file_of_floats_are_noticed(make_song, judged, stems):
    vocals, drums = (stem * 2**15 for stem in stems)
    reasons = [reason for _, reason in judged(make_song(vocals + drums, vocals, drums))]
    assert len(reasons) == 3
    assert all("has a peak of" in reason and "full scale is 1" in reason for reason in reasons)


def test_resampling_is_a_note(make_song, judged):
    vocals, drums = noise(1), noise(2)
    row = make_song(vocals + drums, vocals, drums, rates=(4000, 4000, 4000))
    assert judged(row) == [("note", "mix, vocals and drums: 4000 Hz, resampled to 8000 Hz")]


def test_files_of_different_forms_get_a_note_that_their_sum_was_not_looked_at(make_song, judged):
    row = make_song(noise(1), noise(2), noise(3, seconds=4), rates=(RATE, RATE, 2 * RATE))
    assert judged(row) == [
        ("note", "drums: 16000 Hz, resampled to 8000 Hz"),
        ("note", "its files differ in rate or channels, so it was not checked whether the stems add up"),
    ]


def test_the_same_kind_of_finding_has_the_same_cure_in_every_song(make_song, config):
    cures = []
    for seed, seconds, duration_s in ((1, 2.0, 9), (5, 3.0, 1)):
        vocals, drums = noise(seed, seconds=seconds), noise(seed + 1, seconds=seconds - 0.5)
        row = make_song(vocals, vocals, drums, duration_s=duration_s)
        findings = find_issues(row, measure_song(row, mix_name="mix"), config, for_training=True)
        cures.append([finding.cure for finding in findings])
    assert len(cures[0]) == 4
    assert cures[0] == cures[1]


def test_judging_reads_no_files(make_song, config, stems):
    row = make_song(sum(stems), *stems)
    measures = measure_song(row, mix_name="mix")
    for path in row.files:
        path.unlink()
    assert find_issues(row, measures, config, for_training=True) == ()
