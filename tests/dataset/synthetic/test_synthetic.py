import shutil

import numpy as np
import pytest
import scipy.io.wavfile
import scipy.signal

from sepcore.dataset.synthetic.dataset import generate_song, write_dataset
from sepcore.errors import DatasetError
from tests.raised import raises

STEMS = ("drums", "bass", "piano", "other", "vocals")


@pytest.fixture(scope="module")
def song():
    return generate_song(3, duration_s=6)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic")
    write_dataset(root, num_train=2, num_validation=1, num_test=1, duration_s=2, seed=5)
    return root


def content(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_song_has_five_stereo_stems_of_the_length_asked_for(song):
    assert tuple(song) == STEMS
    assert {(stem.dtype, stem.shape) for stem in song.values()} == {(np.dtype(np.float32), (6 * 44100, 2))}


def test_every_stem_is_heard(song):
    for stem in song.values():
        assert 20 * np.log10(np.sqrt(np.square(stem).mean())) > -40


def test_neither_the_stems_nor_their_sum_clip(song):
    assert np.abs(sum(song.values())).max() <= 10 ** (-1.1 / 20) + 1e-6
    assert max(np.abs(stem).max() for stem in song.values()) < 1


def test_the_same_seed_gives_the_same_song_and_another_one_another(song):
    np.testing.assert_array_equal(generate_song(3, duration_s=6)["vocals"], song["vocals"])
    other = generate_song(4, duration_s=6)
    assert all(np.abs(other[name] - song[name]).max() > 0.01 for name in STEMS)


@pytest.mark.parametrize("sample_rate", [8000, 16000])
@pytest.mark.parametrize("seed", [2, 3])
def test_another_rate_is_possible(sample_rate, seed):
    stems = generate_song(seed, duration_s=2, sample_rate=sample_rate)
    assert all(stem.shape == (2 * sample_rate, 2) for stem in stems.values())
    assert all(np.isfinite(stem).all() and stem.any() for stem in stems.values())


def test_the_voice_is_periodic_with_formants_and_the_bass_is_low(song):
    frequencies, power = scipy.signal.welch(song["vocals"][:, 0], 44100, nperseg=8192)
    assert power[(frequencies > 200) & (frequencies < 4000)].sum() > 0.9 * power.sum()
    frequencies, power = scipy.signal.welch(song["bass"][:, 0], 44100, nperseg=8192)
    assert power[frequencies < 400].sum() > 0.9 * power.sum()


def test_stems_differ_in_where_their_energy_lies(song):
    def spectrum(stem):
        magnitude = np.abs(scipy.signal.stft(stem[:, 0], nperseg=2048)[2])
        return (magnitude / np.linalg.norm(magnitude)).ravel()

    spectra = np.array([spectrum(stem) for stem in song.values()])
    assert (spectra @ spectra.T - np.eye(len(spectra))).max() < 0.6


def test_the_files_of_a_set_add_up_to_the_mixture_sample_by_sample(dataset):
    folders = sorted(dataset.glob("t*/*"))
    assert len(folders) == 4
    for folder in folders:
        rate, mixture = scipy.io.wavfile.read(folder / "mixture.wav")
        stems = [scipy.io.wavfile.read(folder / f"{name}.wav")[1] for name in ("vocals", "drums", "bass", "other")]
        assert (rate, mixture.dtype, mixture.shape) == (44100, np.int16, (88200, 2))
        np.testing.assert_array_equal(sum(stem.astype(int) for stem in stems), mixture)
        assert np.abs(mixture.astype(int)).max() <= 32768 * 10 ** (-1 / 20)


def test_musdb_reads_the_set(dataset):
    import musdb

    def names(**split):
        return [track.name for track in musdb.DB(str(dataset), setup_file="mus.yaml", is_wav=True, **split)]

    training = names(subsets="train", split="train")
    validation = names(subsets="train", split="valid")
    test = musdb.DB(str(dataset), setup_file="mus.yaml", is_wav=True, subsets="test")
    assert (len(training), len(validation), len(test)) == (2, 1, 1)
    np.testing.assert_allclose(test[0].targets["linear_mixture"].audio, test[0].audio, atol=1e-9)
    artists = {name.split(" - ")[0] for name in (*training, *validation, test[0].name)}
    assert len(artists) == 4


def test_the_same_seed_gives_the_same_bytes(dataset, tmp_path):
    write_dataset(tmp_path, num_train=2, num_validation=1, num_test=1, duration_s=2, seed=5)
    assert content(tmp_path) == content(dataset)


def test_songs_that_are_there_are_kept_and_missing_ones_written(dataset, tmp_path):
    root = shutil.copytree(dataset, tmp_path / "copy")
    kept, lost, *_ = sorted(root.glob("train/*"))
    written = (kept / "mixture.wav").stat().st_mtime_ns
    shutil.rmtree(lost)
    done = []
    write_dataset(root, num_train=2, num_validation=1, num_test=1, duration_s=2, seed=5, on_song=done.append)
    assert (kept / "mixture.wav").stat().st_mtime_ns == written
    assert content(root) == content(dataset)
    assert len(done) == 4


def test_a_larger_set_begins_with_the_songs_of_the_smaller_one(dataset, tmp_path):
    root = shutil.copytree(dataset, tmp_path / "copy")
    before = content(root)
    write_dataset(root, num_train=3, num_validation=1, num_test=1, duration_s=2, seed=5)
    after = content(root)
    assert {path: after[path] for path in before} == before
    assert len(after) > len(before)


def test_songs_of_an_earlier_set_do_not_stay_among_the_new_ones_but_foreign_songs_do(dataset, tmp_path):
    root = shutil.copytree(dataset, tmp_path / "copy")
    (root / "train" / "Foreign - Song").mkdir()
    write_dataset(root, num_train=1, num_validation=0, num_test=0, duration_s=1, seed=6)
    assert len(list(root.glob("train/*"))) == 2
    assert not list(root.glob("test/*"))


@pytest.mark.parametrize("recipe", [None, "{}", '{"title": "mine"}'])
def test_what_this_generator_did_not_write_is_neither_removed_nor_replaced(dataset, tmp_path, recipe):
    root = shutil.copytree(dataset, tmp_path / "copy")
    ours, *_ = (root / "train").iterdir()
    mine = root / "train" / "Mine - Song"
    for folder in (ours, mine):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "vocals.wav").write_bytes(b"mine")
        if recipe is not None:
            (folder / "song.json").write_text(recipe)
    before = content(root)
    with raises(DatasetError, "vocals.wav", path=ours):
        write_dataset(root, num_train=2, num_validation=1, num_test=1, duration_s=2, seed=5)
    assert content(root) == before
    write_dataset(root, num_train=1, num_validation=0, num_test=0, duration_s=1, seed=6)
    assert {path: text for path, text in before.items() if path.parent.name == mine.name}.items() <= content(
        root
    ).items()


def test_the_piano_alone_is_written_on_demand(tmp_path):
    write_dataset(tmp_path, num_train=1, num_validation=0, num_test=0, duration_s=1, seed=1, with_piano=True)
    (folder,) = (tmp_path / "train").iterdir()
    assert {path.stem for path in folder.glob("*.wav")} == {"mixture", "vocals", "drums", "bass", "other", "piano"}
