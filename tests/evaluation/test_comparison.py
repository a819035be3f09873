import json

import numpy as np
import pandas as pd
import pytest

from sepcore.errors import DatasetError
from sepcore.evaluation.comparison import compare_scores
from tests.evaluation.score_tables import TRACKS, model, table
from tests.raised import raises


def stem(comparison, name):
    return comparison.stems.set_index("target").loc[name]


def test_a_track_scores_the_median_of_its_frames_and_a_stem_the_median_of_its_tracks():
    a = table({("X", "vocals"): [1, 2, 9], ("Y", "vocals"): [4], ("Z", "vocals"): [30, 40]})
    b = table({("X", "vocals"): [3, 3, 3], ("Y", "vocals"): [4.5], ("Z", "vocals"): [32]})
    found = stem(compare_scores(a, b), "vocals")
    assert (found["num_tracks"], found["a"], found["b"], found["difference_of_medians"]) == (3, 4.0, 4.5, 0.5)
    # Track by track: 3 - 2, 4.5 - 4, 32 - 35.
    assert found["median_difference"] == 0.5
    assert found["mean_difference"] == pytest.approx(-0.5)
    assert (found["num_better"], found["num_worse"]) == (2, 1)
    assert (found["low"], found["high"]) == (-3.0, 1.0)


def test_the_tracks_are_listed_from_the_greatest_loss_on():
    a = table({("X", "vocals"): [5], ("X", "drums"): [5], ("Y", "vocals"): [5], ("Y", "drums"): [5]})
    b = table({("X", "vocals"): [6], ("X", "drums"): [4], ("Y", "vocals"): [2], ("Y", "drums"): [5]})
    tracks = compare_scores(a, b).tracks
    assert tracks.to_dict("split")["data"] == [
        ["Y", "vocals", 5.0, 2.0, -3.0],
        ["X", "drums", 5.0, 4.0, -1.0],
        ["Y", "drums", 5.0, 5.0, 0.0],
        ["X", "vocals", 5.0, 6.0, 1.0],
    ]


def test_a_clear_loss_has_its_size_within_the_interval_and_a_small_p():
    found = stem(compare_scores(model(1), model(2, vocals=-0.5)), "vocals")
    assert found["low"] < -0.5 < found["high"] < -0.3
    assert found["p"] < 1e-4


def test_the_same_scores_do_not_differ():
    comparison = compare_scores(model(1), model(1))
    for key in ("difference_of_medians", "median_difference", "mean_difference", "low", "high"):
        assert (comparison.stems[key] == 0).all()
    assert (comparison.stems[["p", "p_holm"]] == 1).all(axis=None)
    assert comparison.worse_stems() == comparison.worse_stems(strict=True) == ()
    assert comparison.notes == ()


def test_scores_that_were_only_written_with_fewer_decimals_do_not_differ():
    exact = model(1)
    written = exact.round(5)
    assert not exact.equals(written)
    assert compare_scores(exact, written).worse_stems(strict=True) == ()


def test_the_order_of_rows_changes_nothing():
    a, b = model(1), model(2)
    shuffled = [scores.sample(frac=1, random_state=3) for scores in (a, b)]
    # B's order of stems is kept, which is the order of their first rows.
    shuffled[1] = shuffled[1].sort_values("target", key=lambda targets: targets != "vocals", kind="stable")
    plain, mixed = compare_scores(a, b), compare_scores(*shuffled)
    pd.testing.assert_frame_equal(plain.stems, mixed.stems)
    pd.testing.assert_frame_equal(plain.tracks, mixed.tracks)


def test_swapping_the_two_turns_every_sign():
    a, b = model(1), model(2, vocals=0.05)
    there, back = compare_scores(a, b).stems, compare_scores(b, a).stems
    for key, other in {
        "difference_of_medians": None,
        "median_difference": None,
        "mean_difference": None,
        "low": "high",
    }.items():
        np.testing.assert_allclose(there[key], -back[other or key], atol=1e-12)
    np.testing.assert_array_equal(there["num_better"], back["num_worse"])
    pd.testing.assert_frame_equal(there[["p", "p_holm"]], back[["p", "p_holm"]])


def test_a_stems_interval_does_not_depend_on_the_other_stems():
    a, b = model(1), model(2)
    alone = compare_scores(a[a["target"] == "drums"], b[b["target"] == "drums"])
    both = compare_scores(a, b)
    assert stem(alone, "drums")[["low", "high", "p"]].equals(stem(both, "drums")[["low", "high", "p"]])


def test_the_inputs_stay_as_they_are():
    a, b = model(1), model(2)
    kept = a.copy(), b.copy()
    compare_scores(a, b)
    pd.testing.assert_frame_equal(a, kept[0])
    pd.testing.assert_frame_equal(b, kept[1])


def test_of_equally_good_models_few_are_refused_and_half_by_the_strict_gate():
    stems = tuple(f"stem {number}" for number in range(200))
    comparison = compare_scores(model(1, stems=stems), model(2, stems=stems), resamples=500)
    # One in forty, give or take four standard errors; a bootstrapped interval of 20 tracks is a little narrow.
    assert len(comparison.worse_stems()) / 200 < 0.07
    assert 0.35 < len(comparison.worse_stems(strict=True)) / 200 < 0.65


def test_only_the_stem_that_lost_is_worse():
    assert compare_scores(model(1), model(2, vocals=-0.5, drums=0.5)).worse_stems() == ("vocals",)


def test_a_loss_within_the_margin_is_accepted():
    comparison = compare_scores(model(1), model(2, vocals=-0.5))
    assert comparison.worse_stems(0.2) == ("vocals",)
    assert comparison.worse_stems(0.6) == comparison.worse_stems(0.6, strict=True) == ()


def test_near_the_margin_only_the_strict_gate_refuses():
    comparison = compare_scores(model(1), model(2, vocals=-0.5))
    vocals = stem(comparison, "vocals")
    between = -(vocals["median_difference"] + vocals["high"]) / 2
    assert comparison.worse_stems(between) == ()
    assert comparison.worse_stems(between, strict=True) == ("vocals",)


@pytest.mark.parametrize(("tracks", "worse"), [(5, ("vocals",)), (6, ())])
def test_with_too_few_tracks_for_an_interval_the_difference_alone_decides_and_is_said_to(tracks, worse):
    names = [f"Song {number}" for number in range(tracks)]
    a = table({(name, "vocals"): [5] for name in names})
    b = table({(name, "vocals"): [6 if name == "Song 0" else 4] for name in names})
    comparison = compare_scores(a, b)
    assert stem(comparison, "vocals")["high"] == 1.0 if tracks == 5 else stem(comparison, "vocals")["high"] >= 0
    assert comparison.worse_stems() == worse
    assert [note.split(":")[0] for note in comparison.notes] == (["5 tracks"] if worse else [])


def test_what_only_one_of_them_has_is_left_out_and_named():
    a = model(1, stems=("vocals", "piano"))
    b = model(2, tracks=TRACKS + 5, stems=("vocals", "drums"))
    comparison = compare_scores(a, b)
    assert stem(comparison, "vocals")["num_tracks"] == len(comparison.tracks) == TRACKS
    assert comparison.notes == (
        "left out, 1 stem that only A has: piano",
        "left out, 1 stem that only B has: drums",
        "left out, 5 tracks that only B has: Song 20, Song 21, Song 22 and 2 more",
    )


def test_a_track_without_a_score_in_either_is_left_out_of_its_stem_and_counted():
    a, b = model(1), model(2)
    a.loc[(a["track"] == "Song 03") & (a["target"] == "drums"), "SDR"] = np.nan
    b.loc[(b["track"] == "Song 04") & (b["target"] == "drums"), "SDR"] = -np.inf
    b = b[(b["track"] != "Song 05") | (b["target"] != "drums")]
    comparison = compare_scores(a, b)
    assert list(comparison.stems["num_tracks"]) == [TRACKS, TRACKS - 3]
    assert comparison.notes == (
        "left out, 3 without a score in A or in B, e.g. silence: Song 03 (drums), Song 04 (drums), Song 05 (drums)",
    )


@pytest.mark.parametrize(
    ("lost", "worse"),
    [
        (lambda b: b["target"] == "vocals", ("vocals",)),  # a stem
        (lambda b: b["track"] == "Song 03", ("vocals", "drums")),  # a track
        (lambda b: (b["track"] == "Song 03") & (b["target"] == "drums"), ("drums",)),
        (lambda b: (b["track"] == "Song 03") & (b["target"] == "drums") & (b["time_s"] == 1), ("drums",)),  # a frame
        (lambda b: b["time_s"] >= 1, ("vocals", "drums")),  # an excerpt
    ],
)
@pytest.mark.parametrize("how", ["not there", np.nan, -np.inf])
def test_what_a_has_and_b_has_not_is_worse_unless_allowed(lost, worse, how):
    a = model(1)
    b = a.assign(SDR=a["SDR"] + 1)
    gone = lost(b)
    b = b[~gone] if how == "not there" else b.assign(SDR=b["SDR"].mask(gone, how))
    comparison = compare_scores(a, b)
    assert set(comparison.worse_stems()) == set(comparison.worse_stems(strict=True)) == set(worse)
    assert comparison.worse_stems(allow_missing=True) == ()
    assert comparison.missing["num_missing"].sum() == gone.sum()
    assert json.loads(json.dumps(comparison.content(), allow_nan=False))["missing"]


@pytest.mark.parametrize("score", [np.nan, -np.inf])
def test_what_b_alone_has_is_no_loss(score):
    b = model(1)
    a = b.assign(SDR=b["SDR"].mask((b["track"] == "Song 03") | ((b["track"] == "Song 04") & (b["time_s"] == 1)), score))
    comparison = compare_scores(a[a["target"] == "vocals"], b)
    assert (len(comparison.missing), comparison.worse_stems()) == (0, ())


def test_a_perfect_frame_is_a_score():
    a = model(1)
    assert compare_scores(a, a.assign(SDR=a["SDR"].mask(a["time_s"] == 1, np.inf))).missing.empty


def test_frames_without_a_score_do_not_count_for_their_track():
    a = table({("X", "vocals"): [np.nan, 1, np.inf]})
    b = table({("X", "vocals"): [2, np.nan, 2]})
    assert stem(compare_scores(a, b), "vocals")["median_difference"] == 1.0


def test_a_stem_that_is_nowhere_scored_is_left_out():
    a, b = model(1), model(2)
    b.loc[b["target"] == "vocals", "SDR"] = np.nan
    comparison = compare_scores(a, b)
    assert list(comparison.stems["target"]) == ["drums"]
    assert "20 without a score" in comparison.notes[0]


def test_any_metric_of_both_is_compared():
    a, b = model(1).assign(SI_SDR=1.0), model(2).assign(SI_SDR=3.0)
    assert (compare_scores(a, b, metric="SI_SDR").stems["median_difference"] == 2.0).all()
    sar = stem(compare_scores(a, b, metric="SAR"), "vocals")
    assert sar["a"] == pytest.approx(stem(compare_scores(a, b), "vocals")["a"] + 3)


def test_tracks_with_another_number_of_frames_are_doubted():
    b = model(2)
    comparison = compare_scores(model(1), b[(b["track"] != "Song 01") | (b["time_s"] < 2)])
    (note,) = comparison.notes
    assert note.startswith("1 of the tracks have a different number of frames")
    assert note.endswith("Song 01")


def test_tracks_whose_untouched_mixture_scores_otherwise_are_doubted():
    b = model(2)
    b.loc[b["track"] == "Song 07", "mixture_SDR"] += 0.5
    (note,) = compare_scores(model(1), b).notes
    assert note.startswith("1 of the tracks have a different score of the untouched mixture")
    assert note.endswith("Song 07")


def test_scores_of_another_program_without_a_mixture_are_not_doubted():
    assert compare_scores(model(1), model(2).assign(mixture_SDR=np.nan)).notes == ()


@pytest.mark.parametrize(
    ("b", "options", "named", "hint"),
    [
        (model(2, stems=("piano",)), {}, ["stem", "A has vocals, drums", "B has piano"], "same test set"),
        (
            model(2).assign(track="Other"),
            {},
            ["track", "A has Song 00, Song 01, Song 02 and 17 more", "B has Other"],
            "same test set",
        ),
        (model(2).assign(SDR=np.nan), {}, ["no stem", "(SDR)"], "Silence"),
        (model(2).drop(columns="SIR"), {"metric": "SIR"}, ["SIR", "of B"], "SDR, ISR"),
        (model(2), {"metric": "track"}, ["track", "A and B"], "SDR, ISR"),
    ],
)
def test_what_cannot_be_compared_is_one_line(b, options, named, hint):
    with raises(DatasetError, *named, hint=hint) as refused:
        compare_scores(model(1), b, **options)
    assert "\n" not in str(refused.value)


def test_all_of_it_becomes_json():
    comparison = compare_scores(model(1), model(2))
    content = json.loads(json.dumps(comparison.content(), allow_nan=False))
    assert (content["metric"], content["confidence"], len(content["tracks"])) == ("SDR", 0.95, 2 * TRACKS)
    assert content["stems"][0]["target"] == "vocals"
    assert content["stems"][0]["p"] == stem(comparison, "vocals")["p"]


@pytest.mark.parametrize("margin", [-1, float("nan")])
def test_a_margin_that_no_stem_could_fail_is_refused(margin):
    with pytest.raises(ValueError, match=f"margin_db is {margin}"):
        compare_scores(model(1), model(2)).worse_stems(margin)
