from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.plan import find_dataset, plan_ingest
from sepcore.errors import DatasetError
from tests.dataset.ingest.conftest import FIVE_STEMS, FOUR_STEMS, TWO_STEMS
from tests.raised import raises

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
