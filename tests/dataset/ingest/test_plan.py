from collections import Counter

import pytest

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.plan import artist_overlap, assign_splits, describe_overlap, plan_ingest
from sepcore.dataset.ingest.songs import SourceSong, find_dataset
from sepcore.errors import DatasetError
from tests.dataset.ingest.conftest import FIVE_STEMS, FOUR_STEMS, TWO_STEMS
from tests.raised import raises


def song(name, own_split=None):
    return SourceSong(name, own_split or "", own_split, ())


def assign(songs, scheme, validation=0.2, test=0.1, seed=0):
    return assign_splits(songs, scheme, validation_fraction=validation, test_fraction=test, seed=seed)


def counts(splits):
    return dict(Counter(splits.values()))


# Fifty songs of twenty artists, of whom the first has eleven.
SONGS = [song(f"Artist {max(0, number - 10) % 20} - Title {number}") for number in range(50)]
TESTED = [song(f"Artist {number} - Test", "test") for number in range(5)]


@pytest.mark.parametrize("scheme", ["musdb", "own"])
def test_the_datasets_own_split_is_taken_as_it_is(scheme):
    songs = [song("A", "train"), song("B", "validation"), song("C", "test")]
    assert list(assign(songs, scheme).values()) == ["train", "validation", "test"]


def test_songs_without_a_split_of_their_own_are_named_with_the_cure():
    with raises(DatasetError, "train, validation and test", "2 (B, C)", hint="--split fraction or artist"):
        assign([song("A", "train"), song("B"), song("C")], "own")


def test_a_fraction_of_the_songs_is_taken_whatever_their_order():
    splits = assign(SONGS, "fraction")
    assert counts(splits) == {"train": 35, "validation": 10, "test": 5}
    assert splits == assign(SONGS[::-1], "fraction")
    assert splits != assign(SONGS, "fraction", seed=1)


def test_a_song_that_comes_to_the_set_moves_few_others():
    before = assign(SONGS, "fraction")
    after = assign([*SONGS, song("New - Song")], "fraction")
    moved = {(before[song], after[song]) for song in SONGS if before[song] != after[song]}
    assert len([song for song in SONGS if before[song] != after[song]]) <= 2
    assert not moved & {("validation", "test"), ("test", "validation")}


def test_the_datasets_own_test_songs_stay_test_songs_and_the_others_do_not_join_them():
    for scheme in ("fraction", "artist"):
        splits = assign([*SONGS, *TESTED], scheme, test=0.5)
        assert [song for song, split in splits.items() if split == "test"] == TESTED


def test_validation_songs_of_the_dataset_are_shared_out_anew():
    songs = [song(f"{number}", "validation") for number in range(10)]
    assert counts(assign(songs, "fraction")) == {"train": 7, "validation": 2, "test": 1}


@pytest.mark.parametrize("seed", range(5))
def test_whole_artists_go_to_one_split(seed):
    splits = assign(SONGS, "artist", seed=seed)
    assert artist_overlap(splits) == {}
    assert counts(splits)["validation"] in (8, 9, 10)
    assert counts(splits)["test"] in (3, 4, 5)


def test_songs_without_an_artist_count_as_their_own():
    splits = assign([song(f"Song {number}") for number in range(10)], "artist")
    assert counts(splits) == {"train": 7, "validation": 2, "test": 1}


def test_a_small_fraction_gives_one_song_and_none_gives_none():
    assert counts(assign(SONGS, "fraction", validation=0.001, test=0)) == {"train": 49, "validation": 1}


def test_songs_of_one_name_stay_together():
    songs = [SourceSong("Same", subset, None, ()) for subset in ("a", "b")] + [song(f"{number}") for number in range(6)]
    splits = assign(songs, "fraction", validation=0.4)
    assert splits[songs[0]] == splits[songs[1]]


@pytest.mark.parametrize(("validation", "test"), [(1.0, 0), (-0.1, 0), (0.5, 0.5), (float("nan"), 0)])
def test_fractions_that_cannot_be_are_refused(validation, test):
    with raises(DatasetError, f"{validation:g} for validation", f"{test:g} for test", hint="less than 1"):
        assign(SONGS, "fraction", validation, test)


def test_a_set_that_is_too_small_to_share_out_is_refused():
    with raises(DatasetError, "songs", "(2)", hint="a fraction of 0"):
        assign([song("A"), song("B")], "fraction")
    with raises(DatasetError, "artists", "(1)", hint="a fraction of 0"):
        assign([song("A - B"), song("A - C")], "artist")


def test_shared_artists_are_told_by_pair_of_splits():
    splits = {song(f"{artist} - {split}", split): split for artist in "EDCBA" for split in ("train", "validation")}
    splits[song("a - x", "test")] = "test"
    assert artist_overlap(splits)["train", "validation"] == ("A", "B", "C", "D", "E")
    assert describe_overlap(artist_overlap(splits)) == (
        "artists shared by train and validation: 5 (A, B, C, …); by train and test: 1 (A); "
        "by validation and test: 1 (A)"
    )
    assert describe_overlap({}) == "no artist is in more than one split"


STEMS = ("vocals", "drums", "bass", "other")


def songs_of(root, **files):
    """List songs with empty files, ``{"A - B": ("vocals", …)}``."""
    for name, recordings in files.items():
        for recording in recordings:
            (root / name).mkdir(parents=True, exist_ok=True)
            (root / name / f"{recording}.wav").touch()
    return find_dataset(None, root)


def test_a_dataset_is_a_musdb_set_or_a_folder_of_folders(hq):
    assert [song.subset for song in find_dataset(hq, None)] == ["train", "train", "train", "test"]
    assert {song.subset for song in find_dataset(None, hq)} == {"train", "test"}
    for roots in ((hq, hq), (None, None)):
        with raises(DatasetError, "--musdb-root", "--stems-root"):
            find_dataset(*roots)


def test_a_layout_that_there_is_not_is_refused_with_those_there_are(tmp_path):
    with raises(DatasetError, "tree", hint="folders"):
        find_dataset(None, tmp_path, "tree")


def test_by_default_a_set_is_split_as_it_says_and_by_a_fraction_where_it_says_nothing(hq, tmp_path):
    plan = plan_ingest(find_dataset(hq, None), FOUR_STEMS)
    assert list(plan.splits.values()) == ["train", "train", "validation", "test"]
    songs = songs_of(tmp_path, **{f"Song {number}": ("mixture", *STEMS) for number in range(10)})
    plan = plan_ingest(songs, FOUR_STEMS)
    assert sorted(plan.splits.values()) == ["test"] + ["train"] * 8 + ["validation"]
    assert plan.left_out == ()
    assert plan.notes == ("no artist is in more than one split",)


def test_the_seed_of_the_config_decides_the_split(tmp_path):
    songs = songs_of(tmp_path, **{f"Song {number}": ("mixture", *STEMS) for number in range(30)})
    splits = [plan_ingest(songs, FOUR_STEMS.model_copy(update={"random_seed": seed})).splits for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_songs_that_lack_an_instrument_are_left_out_and_the_others_keep_their_split(tmp_path):
    whole = {f"Song {number}": ("mixture", *STEMS) for number in range(12)}
    before = plan_ingest(songs_of(tmp_path, **whole), FOUR_STEMS).splits
    (tmp_path / "Song 3" / "drums.wav").unlink()
    plan = plan_ingest(find_dataset(None, tmp_path), FOUR_STEMS)
    assert [(song.song, song.reason) for song in plan.left_out] == [
        ("Song 3", "has no drums (it has bass, other, vocals)")
    ]
    assert plan.splits == {song: split for song, split in before.items() if song.name != "Song 3"}


def test_a_set_of_which_no_song_can_be_used_is_refused(tmp_path):
    songs = songs_of(tmp_path, **{f"Song {number}": STEMS for number in range(5)})
    named = ("Song 0", "Song 2", "no piano", "bass, drums, other, vocals", "2 more")
    with raises(DatasetError, *named, hint="instrument_mapping") as raised:
        plan_ingest(songs, FIVE_STEMS)
    assert "Song 3" not in raised.value.problem


def test_shared_artists_are_always_noted(tmp_path):
    for split, name in (("train", "A - 1"), ("train", "B - 1"), ("validation", "A - 2"), ("test", "C - 1")):
        for recording in ("mixture", "vocals", "drums"):
            (tmp_path / split / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / split / name / f"{recording}.wav").touch()
    plan = plan_ingest(find_dataset(None, tmp_path), TWO_STEMS)
    assert plan.notes == ("artists shared by train and validation: 1 (A)",)
    plan = plan_ingest(find_dataset(None, tmp_path), TWO_STEMS, split="artist", validation_fraction=0.3)
    assert plan.notes == ("no artist is in more than one split",)


def test_what_a_user_may_not_expect_is_noted(tmp_path):
    config = ModelConfig(instruments=("vocals", "other"), instrument_mapping={"other": ("guitar", "banjo")})
    songs = songs_of(tmp_path, A=("vocals", "guitar", "drums"), B=("vocals", "guitar", "mix"), C=("vocals", "guitar"))
    assert plan_ingest(songs, config).notes[1:] == (
        "mixtures made from the stems: 2 (A, C)",
        "recordings that no instrument takes: drums (songs: 1); instrument_mapping can add them to one",
        "recordings in instrument_mapping that no song has: banjo",
    )
