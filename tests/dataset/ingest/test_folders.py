from sepcore.dataset.ingest.folders import list_folder_songs
from sepcore.errors import DatasetError
from tests.raised import raises


def touch(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def listed(root):
    return {song.name: [name for name, _ in song.recordings] for song in list_folder_songs(root)}


def test_a_song_is_a_folder_and_its_recordings_are_named_as_its_files(tmp_path):
    touch(tmp_path, "A - B/mixture.wav", "A - B/vocals.flac", "C/Lead Vocals.MP3", "C/DRUMS.m4a")
    assert listed(tmp_path) == {"A - B": ["mixture", "vocals"], "C": ["drums", "lead vocals"]}


def test_hidden_files_and_those_that_are_no_audio_are_passed_over(tmp_path):
    noise = ["song.json", "notes.txt", "cover.jpg", "mus.yaml", "._vocals.wav", ".hidden.wav", "Thumbs.db", "x.mid"]
    touch(
        tmp_path, "A/vocals.wav", *(f"A/{name}" for name in noise), ".cache/vocals.wav", "pictures/cover.jpg", "x.wav"
    )
    assert listed(tmp_path) == {"A": ["vocals"]}


def test_folders_named_as_splits_give_the_set_a_split_of_its_own(tmp_path):
    touch(tmp_path, "train/A/vocals.wav", "Valid/B/vocals.wav", "validation/C/vocals.wav", "test/D/vocals.wav")
    touch(tmp_path, "E/vocals.wav")
    assert {song.name: (song.subset, song.own_split) for song in list_folder_songs(tmp_path)} == {
        "A": ("train", "train"),
        "B": ("Valid", "validation"),
        "C": ("validation", "validation"),
        "D": ("test", "test"),
        "E": ("", None),
    }


def test_a_song_may_be_called_as_a_split(tmp_path):
    touch(tmp_path, "Train/vocals.wav", "Train/drums.wav")
    (song,) = list_folder_songs(tmp_path)
    assert (song.name, song.subset, song.own_split) == ("Train", "", None)


def test_names_are_compared_without_case_and_ways_of_writing_accents(tmp_path):
    touch(tmp_path, "A/Ba\u0308sse.wav")
    assert listed(tmp_path) == {"A": ["b\u00e4sse".casefold()]}


def test_a_folder_without_songs_is_refused_with_what_was_looked_for(tmp_path):
    touch(tmp_path, "vocals.wav", "deep/deeper/deepest/vocals.wav")
    with raises(DatasetError, path=tmp_path, hint="<song>/<instrument>.wav"):
        list_folder_songs(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with raises(DatasetError, "no such folder", path=tmp_path / "nowhere"):
        list_folder_songs(tmp_path / "nowhere")


def test_musdb18_is_sent_to_its_own_option(tmp_path):
    touch(tmp_path, "train/A - B.stem.mp4")
    with raises(DatasetError, ".stem.mp4", path=tmp_path, hint="--musdb-root"):
        list_folder_songs(tmp_path)
