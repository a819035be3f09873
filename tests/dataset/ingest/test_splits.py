from collections import Counter

import pytest

from sepcore.dataset.ingest.recording import SourceSong
from sepcore.dataset.ingest.splits import artist_overlap, assign_splits, describe_overlap
from sepcore.errors import DatasetError
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
