"""Variants in files: what is in them, and when they are made anew."""

import errno
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.augment.findings import estimate_line, findings, method_line
from sepcore.dataset.augment.manifest import claim_manifest, lock_output, training_manifest, write_manifest
from sepcore.dataset.augment.songs import augment_song, is_songs_own
from sepcore.dataset.augment.variants import Variant, variants_of
from sepcore.dataset.manifest import TrackRow, load_manifest, save_manifest
from sepcore.errors import AudioDecodeError, AudioEncodeError, ConfigError, DatasetError
from sepcore.system.locks import is_held
from tests.dataset.ingest.conftest import modified, noise, read
from tests.raised import raises
from tests.repository import ROOT

RATE = 8000
CONFIG = ModelConfig(instruments=("vocals", "drums"), sample_rate=RATE)
FASTER, HIGHER = Variant("tempo", 1.25), Variant("pitch", 2)


def write_row(folder, *, seconds=0.5, level=0.1, mixture=None, rate=RATE, channels=2):
    """A song called as its folder: two stems of noise, and their sum or another mixture."""
    folder.mkdir(parents=True, exist_ok=True)
    stems = {
        name: noise(name, seconds=seconds, rate=rate, level=level, channels=channels) for name in ("vocals", "drums")
    }
    signals = {"mixture": sum(stems.values()) if mixture is None else mixture, **stems}
    for name, waveform in signals.items():
        soundfile.write(folder / f"{name}.wav", waveform, rate, subtype="FLOAT")
    files = tuple((name, folder / f"{name}.wav") for name in stems)
    return TrackRow(folder.name, folder / "mixture.wav", files, seconds)


@pytest.fixture
def row(tmp_path):
    return write_row(tmp_path / "songs" / "A - Song")


def vary(row, out, variants=(FASTER,), method="resample", config=CONFIG):
    return augment_song(row, out, config, variants, method)


def folders(out):
    return sorted(path.name for path in out.glob("audio/*/*"))


@pytest.mark.parametrize("method", ["resample", "rubberband"])
def test_each_variant_is_a_folder_whose_mixture_is_the_sum_of_its_stems_to_the_bit(row, tmp_path, method, request):
    if method == "rubberband":
        request.getfixturevalue("rubberband")
    made = vary(row, tmp_path / "out", (HIGHER, FASTER), method)
    assert folders(tmp_path / "out") == ["A - Song (pitch +2)", "A - Song (tempo 1.25)"]
    for variant, speed in zip(made, (1 if method == "rubberband" else 2 ** (1 / 6), 1.25), strict=True):
        mixture, vocals, drums = map(read, variant.row.files)
        np.testing.assert_array_equal(mixture, vocals + drums)
        assert np.abs(vocals).max() > 0.01
        info = soundfile.info(variant.row.mixture)
        assert (info.samplerate, info.channels, info.subtype) == (RATE, 2, "PCM_24")
        assert info.frames == round(round(0.5 * RATE) / speed)
        assert variant.row.duration_s == info.frames / RATE
        assert variant.gain_db == 0


def test_the_mixture_is_the_sum_also_where_the_recorded_one_is_not_and_that_is_told(tmp_path):
    row = write_row(tmp_path / "mastered", mixture=noise("other"))
    (made,) = vary(row, tmp_path / "out")
    mixture, vocals, drums = map(read, made.row.files)
    np.testing.assert_array_equal(mixture, vocals + drums)
    (line,) = findings([made])
    assert "'mastered (tempo 1.25)'" in line
    assert "-15 dB" in line


def test_what_would_exceed_full_scale_is_turned_down_by_one_gain_and_that_is_told(tmp_path):
    loud = write_row(tmp_path / "loud", level=0.9)
    quiet = write_row(tmp_path / "quiet", level=0.09)
    (of_loud,), (of_quiet,) = vary(loud, tmp_path / "out"), vary(quiet, tmp_path / "out")
    signals = [read(path) for path in of_loud.row.files]
    np.testing.assert_array_equal(signals[0], signals[1] + signals[2])
    assert 0.99 < max(np.abs(signal).max() for signal in signals) < 1
    factors = [(a * b).sum() / (b * b).sum() for a, b in zip(signals, map(read, of_quiet.row.files), strict=True)]
    np.testing.assert_allclose(factors, 10 * 10 ** (of_loud.gain_db / 20), rtol=1e-3)
    (line,) = findings([of_loud, of_quiet])
    assert line.startswith("1 variants turned down")
    assert f"'loud (tempo 1.25)' ({of_loud.gain_db:.1f} dB)" in line


def test_recordings_of_another_rate_and_in_mono_get_the_configs_form_up_to_the_shortest_file(tmp_path):
    row = write_row(tmp_path / "mono", rate=16000, channels=1)
    soundfile.write(row.stems[1][1], np.zeros(6000), 16000)
    (made,) = vary(row, tmp_path / "out")
    vocals = read(made.row.stems[0][1])
    assert vocals.shape == (2400, 2)
    np.testing.assert_array_equal(vocals[:, 0], vocals[:, 1])


def test_finished_variants_are_kept_and_what_is_missing_is_made(row, tmp_path):
    out = tmp_path / "out"
    first = vary(row, out)
    before = modified(out)
    both = vary(row, out, (FASTER, HIGHER))
    assert both[0] == first[0]
    assert modified(out).items() >= before.items()
    os.utime(row.mixture)  # the content counts
    assert vary(row, out, (FASTER, HIGHER)) == both
    assert modified(out).items() >= before.items()


@pytest.mark.parametrize("change", ["recording", "lost file", "damaged file"])
def test_variants_of_other_recordings_or_that_are_not_whole_are_made_anew(row, tmp_path, change):
    out = tmp_path / "out"
    (made,) = vary(row, out)
    drums = made.row.stems[1][1]
    good = drums.read_bytes()
    before = modified(made.row.mixture.parent)
    if change == "recording":
        soundfile.write(row.stems[0][1], 0.5 * read(row.stems[0][1]), RATE, subtype="FLOAT")
    elif change == "lost file":
        drums.unlink()
    else:
        drums.write_bytes(bytes([*good[:-1], good[-1] ^ 1]))  # of the same size
    vary(row, out)
    after = modified(made.row.mixture.parent)
    assert after.keys() == before.keys()
    assert not after.items() & before.items()
    assert drums.read_bytes() == good


@pytest.mark.parametrize("key", ["sample_rate", "num_channels", "instruments", "method"])
def test_variants_by_other_settings_are_beside_the_first_which_stay(row, tmp_path, key, request):
    out, config, method = tmp_path / "out", CONFIG, "resample"
    (first,) = vary(row, out)
    before = modified(out)
    if key == "method":
        request.getfixturevalue("rubberband")
        method = "rubberband"
    elif key == "instruments":
        config = CONFIG.model_copy(update={key: ("vocals", "rest")})
        row = replace(row, stems=(row.stems[0], ("rest", row.stems[1][1])))
    else:
        config = CONFIG.model_copy(update={key: {"sample_rate": 4000, "num_channels": 1}[key]})
    (other,) = vary(row, out, method=method, config=config)
    assert other.row.name == first.row.name == other.row.mixture.parent.name
    assert not set(other.row.files) & set(first.row.files)
    assert modified(out).items() > before.items()


def test_one_command_at_a_time_works_on_a_folder(tmp_path):
    with lock_output(tmp_path / "out"):
        assert is_held(tmp_path / "out" / ".lock")
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "file").touch()
    with raises(DatasetError, path=tmp_path / "file", hint="--out"), lock_output(tmp_path / "file"):
        pass


@pytest.mark.parametrize(("number", "own"), [(errno.ENAMETOOLONG, True), (errno.EFBIG, True), (None, True),
    (errno.ENOSPC, False), (errno.EROFS, False), (errno.EACCES, False)])  # fmt: skip
def test_what_cannot_be_written_is_one_songs_own_fault_unless_no_song_can_be(number, own):
    assert is_songs_own(AudioEncodeError("cannot be written", errno=number)) == own


def test_files_that_are_not_ours_stay(row, tmp_path):
    (made,) = vary(row, tmp_path / "out")
    folder = made.row.mixture.parent
    (folder / "notes.txt").write_text("mine")
    (folder / "drums.flac").write_bytes(b"my own drums")
    vary(row, tmp_path / "out")
    assert (folder / "notes.txt").read_text() == "mine"
    assert soundfile.info(folder / "drums.flac").frames
    (kept,) = folder.parent.glob("*.kept")
    assert (kept / "drums.flac").read_bytes() == b"my own drums"


def test_a_song_that_cannot_be_decoded_leaves_nothing(row, tmp_path):
    row.stems[1][1].write_text("not music")
    with raises(AudioDecodeError, path=row.stems[1][1]):
        vary(row, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_an_error_of_its_own(row, tmp_path):
    (tmp_path / "out").write_text("a file")
    with raises(AudioEncodeError) as failed:
        vary(row, tmp_path / "out")
    assert failed.value.errno in (errno.ENOTDIR, errno.EEXIST)


@pytest.mark.parametrize("name", ["x" * 250, "Mr. " + "x" * 240, "a." + "\U0001d11e" * 62], ids=["long", "dot", "wide"])
def test_a_song_of_any_name_gets_folders(row, tmp_path, name):
    (made,) = vary(replace(row, name=name), tmp_path / "out")
    assert made.row.mixture.is_file()
    assert len(os.fsencode(made.row.mixture.parent.name)) <= 255


def test_the_new_manifest_lists_recorded_songs_and_variants_with_names_of_their_own(row, tmp_path):
    made = vary(row, tmp_path / "out", (HIGHER, FASTER))
    csv = write_manifest(tmp_path / "out", [row, *(variant.row for variant in made)], [], CONFIG)
    assert load_manifest(csv, CONFIG) == [row, *(variant.row for variant in made)]
    assert [line.split(",")[0] for line in csv.read_text().splitlines()[1:]] == [
        str(row.mixture),
        *(variant.row.mixture.relative_to(csv.parent).as_posix() for variant in made),
    ]
    claim_manifest(csv.parent)
    csv.write_text(csv.read_text() + "\n")
    with raises(DatasetError, "train.csv", path=csv.parent, hint="--out"):
        claim_manifest(csv.parent)
    with raises(DatasetError, "train.csv", path=csv.parent):
        write_manifest(csv.parent, [row], [], CONFIG)


def test_only_recorded_training_songs_are_varied(row, tmp_path):
    csvs = {f"{split}_csv": str(tmp_path / f"{split}.csv") for split in ("train", "validation", "test")}
    config, out = CONFIG.model_copy(update=csvs), tmp_path / "out"
    assert training_manifest(config, None, out) == tmp_path / "train.csv"
    assert training_manifest(config, tmp_path / "more.csv", out) == tmp_path / "more.csv"
    with raises(ConfigError, "train_csv", hint="--train-csv"):
        training_manifest(CONFIG, None, out)
    for split in ("validation", "test"):
        with raises(DatasetError, f"{split}_csv", path=tmp_path / f"{split}.csv", hint="--train-csv"):
            training_manifest(config, tmp_path / f"{split}.csv", out)
    with raises(DatasetError, path=tmp_path / "train.csv", hint="--out"):
        training_manifest(config, None, tmp_path)
    varied = write_manifest(out, [row], [], CONFIG)
    with raises(DatasetError, "variants", path=varied, hint="--train-csv"):
        training_manifest(config, varied, tmp_path / "elsewhere")
    for name in ("mixture", "Mixture"):  # it would be written to the mixture's file
        with raises(ConfigError, name, hint="Rename"):
            training_manifest(config.model_copy(update={"instruments": ("vocals", name)}), None, out)
    with raises(ConfigError, "n_channels", 9):
        training_manifest(config.model_copy(update={"num_channels": 9}), None, out)


def test_the_estimate_says_how_much_audio_there_will_be_at_most(row):
    line = estimate_line([row], CONFIG, variants_of([2], [0.5]), "rubberband")
    assert line.startswith("1 songs, 2 variants of each by rubberband: ")
    assert line.endswith(f"at most {1.5 * RATE * 2 * 3 * 3 / 1e9:.3g} GB")


def test_a_line_says_how_songs_are_varied():
    assert "apart" in method_line("rubberband", "auto")
    assert "together" in method_line("resample", "resample")
    assert "no filter rubberband" in method_line("resample", "auto")


PROGRAM = """
import sys
from pathlib import Path
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.augment.songs import augment_song
from sepcore.dataset.augment.variants import Variant
from sepcore.dataset.manifest import load_manifest

config = ModelConfig(instruments=("vocals", "drums"))
(row,) = load_manifest(Path(sys.argv[1]), config)
augment_song(row, Path(sys.argv[2]), config, [Variant("tempo", 0.9)], sys.argv[3])
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(peak.split()[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["resample", "rubberband"])
def test_memory_does_not_grow_with_the_song(tmp_path, method, request):
    if method == "rubberband":
        request.getfixturevalue("rubberband")
    peaks_kb = {}
    for seconds in (20, 200):
        config = CONFIG.model_copy(update={"sample_rate": 44100})
        csv = tmp_path / f"{seconds}.csv"
        save_manifest(csv, [write_row(tmp_path / f"{seconds}", seconds=seconds, rate=44100)], config)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, csv, tmp_path / "out", method],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        peaks_kb[seconds] = int(done.stdout)
    # Each signal of the longer song is 70 MB as floats.
    assert peaks_kb[200] - peaks_kb[20] < 20_000, peaks_kb
