"""Made-up multitrack songs in MUSDB18-HQ's layout; the same seed gives the same bytes."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import scipy.io.wavfile
import scipy.signal
from numpy.typing import NDArray

from sepcore.dataset.synthetic.score import compose
from sepcore.dataset.synthetic.sounds import bass_sound, drum_sounds, other_sound, piano_sound, place, sing
from sepcore.errors import DatasetError
from sepcore.system.atomic import atomic_folder, remove_leftovers, write_text
from sepcore.system.ownership import foreign_content, remove_own, shown_names

# Raised when the same seed gives other songs, so that they are written anew.
_VERSION = 1
_PEAK = 10 ** (-1.1 / 20)
_SPLITS = ("train", "validation", "test")
# Loudness (RMS of the whole song, in dB relative to each other), and the widest pan and strongest reverberation.
_LEVELS_DB = {"drums": 0.0, "bass": -1.5, "piano": -4.0, "other": -4.0, "vocals": 0.0}
_WIDEST_PAN = {"drums": 0.15, "bass": 0.05, "piano": 0.6, "other": 0.7, "vocals": 0.1}
_WETTEST = {"drums": 0.1, "bass": 0.0, "piano": 0.25, "other": 0.35, "vocals": 0.35}
# Artists are "first last", titles "adjective noun".
_FIRST = "Ane Bruno Carla Dag Elin Fred Greta Hans Ida Jon Karin Lars Mia Noah Oda Paul Rita Sara Tor Una Vera Willy"
_LAST = "Ash Birch Cedar Dale Elm Fjord Glen Heath Isle Juniper Knoll Linden Moor Nettle Oak Pine Reed Sedge Thistle"
_ADJECTIVES = "Bitter Calm Deep Early Faint Green High Idle Keen Late Mild New Open Plain Rough Slow Tender Warm"
_NOUNS = "Answer Border Circle Door Evening Fire Ghost Hour Island Journey Key Letter Morning Name Offer Promise Rain"


@dataclass(frozen=True)
class _Song:
    """What a song is made from; written beside its files as ``song.json``."""

    seed: int
    duration_s: float
    sample_rate: int
    with_piano: bool
    version: int = _VERSION


def generate_song(seed: int, *, duration_s: float, sample_rate: int = 44100) -> dict[str, NDArray[np.float32]]:
    """Compose and play a song.

    Args:
        seed: Of everything that is drawn.
        duration_s: At least 1 second.
        sample_rate: In Hz.

    Returns:
        Stems ``drums``, ``bass``, ``piano``, ``other`` and ``vocals``, each float32 ``(samples, 2)``. Neither they nor
        their sum exceed -1.1 dBFS.
    """
    rng = np.random.default_rng(seed)
    samples = round(duration_s * sample_rate)
    notes = compose(rng, duration_s=duration_s)
    sounds = {
        "drums": drum_sounds(rng, sample_rate),
        "bass": bass_sound(rng, sample_rate),
        "piano": piano_sound(rng, sample_rate),
        "other": other_sound(rng, sample_rate),
    }
    played = {
        name: place(notes[name], sound, samples=samples, sample_rate=sample_rate) for name, sound in sounds.items()
    }
    played["vocals"] = sing(notes["vocals"], rng, samples=samples, sample_rate=sample_rate)
    stems = {name: _mix_down(name, waveform, rng, sample_rate) for name, waveform in played.items()}
    # MUSDB's "other" holds the piano: their sum must not clip either.
    files = (*stems.values(), stems["piano"] + stems["other"], sum(stems.values()))
    loudest = max(float(np.abs(waveform).max()) for waveform in files)
    return {name: waveform * np.float32(_PEAK / loudest) for name, waveform in stems.items()}


def _mix_down(
    name: str, waveform: NDArray[np.float32], rng: np.random.Generator, sample_rate: int
) -> NDArray[np.float32]:
    """Set level, position (equal power) and reverberation of a stem: float32 ``(samples, 2)``."""
    rms = float(np.sqrt(np.mean(np.square(waveform)))) or 1.0
    gain = 10 ** ((_LEVELS_DB[name] + rng.uniform(-2.5, 2.5)) / 20) / rms
    angle = np.pi / 4 * (1 + rng.uniform(-1, 1) * _WIDEST_PAN[name])
    stereo = np.outer(waveform, gain * np.array([np.cos(angle), np.sin(angle)])).astype(np.float32)
    wet = rng.uniform(0.3, 1) * _WETTEST[name]
    if wet > 0:
        decay_s = rng.uniform(0.15, 0.5)
        seconds = np.arange(int(2.5 * decay_s * sample_rate)) / sample_rate
        room = rng.standard_normal((len(seconds), 2)) * np.exp(-3 * seconds / decay_s)[:, None]
        room *= wet / np.sqrt(np.sum(np.square(room), axis=0))
        dry = (gain * waveform[:, None]).astype(np.float32)
        stereo += scipy.signal.oaconvolve(dry, room.astype(np.float32), axes=0)[: len(stereo)]
    return stereo


def write_dataset(
    root: Path,
    *,
    num_train: int,
    num_validation: int,
    num_test: int,
    duration_s: float,
    seed: int,
    sample_rate: int = 44100,
    with_piano: bool = False,
    on_song: Callable[[Path], None] | None = None,
) -> None:
    """Write made-up songs in MUSDB18-HQ's layout; songs that are up to date are kept.

    Each song is a folder ``train|test/<Artist - Title>`` with ``mixture``, ``vocals``, ``drums``, ``bass`` and
    ``other`` (with the piano) as 16-bit stereo wav: the stems add up to the mixture sample by sample, and its peak is
    at most -1 dBFS. The validation songs are in ``train`` and named in ``mus.yaml``, musdb's setup file. Artists repeat
    only in splits of more than 130 songs.

    Args:
        root: Folder of the set; other songs of this generator are removed from it.
        num_train: Training songs, not counting those for validation.
        num_validation: Validation songs.
        num_test: Test songs.
        duration_s: Length of each song, at least 1 second.
        seed: Of the whole set; adding songs to a split does not change its first ones.
        sample_rate: In Hz.
        with_piano: Write ``piano.wav`` too; the piano stays in ``other.wav``.
        on_song: Called with each song's folder once it is complete.

    Raises:
        DatasetError: a song's folder holds other files; nothing is written.
    """
    songs: dict[Path, _Song] = {}
    validation_names = []
    for split_number, count in enumerate((num_train, num_validation, num_test)):
        split = _SPLITS[split_number]
        for number in range(count):
            name = _song_name(len(_SPLITS) * number + split_number, seed)
            song_seed = int(np.random.SeedSequence([seed, split_number, number]).generate_state(1)[0])
            folder = root / ("test" if split == "test" else "train") / name
            songs[folder] = _Song(song_seed, duration_s, sample_rate, with_piano)
            validation_names += [name] if split == "validation" else []
    for folder in songs:
        if not _own_files(folder) and (foreign := foreign_content(folder, ())):
            problem = f"holds {shown_names(foreign)}, which this generator did not write"
            hint = "Choose another folder."
            raise DatasetError(problem, path=folder, hint=hint)
    for subset in ("train", "test"):
        (root / subset).mkdir(parents=True, exist_ok=True)
        remove_leftovers(root / subset)
    for recipe in root.glob("t*/*/song.json"):
        if recipe.parent not in songs:  # it would be trained on, too
            remove_own(recipe.parent, _own_files(recipe.parent))
    for folder, song in songs.items():
        _write_song(folder, song)
        if on_song is not None:
            on_song(folder)
    write_text(root / "mus.yaml", _setup_yaml(validation_names, sample_rate))


def _song_name(number: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    artists = rng.permutation([f"{first} {last}" for first in _FIRST.split() for last in _LAST.split()])
    titles = rng.permutation([f"{adjective} {noun}" for adjective in _ADJECTIVES.split() for noun in _NOUNS.split()])
    return f"{artists[number % len(artists)]} - {titles[number % len(titles)]}"


def _own_files(folder: Path) -> set[str]:
    """The files of a song that this generator wrote."""
    try:
        song = _Song(**json.loads((folder / "song.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return set()
    stems = [name for name in _LEVELS_DB if name != "piano" or song.with_piano]
    return {"song.json", *(f"{name}.wav" for name in ("mixture", *stems))}


def _write_song(folder: Path, song: _Song) -> None:
    recipe = json.dumps(asdict(song))
    recipe_file = folder / "song.json"
    if recipe_file.is_file() and recipe_file.read_text("utf-8") == recipe:
        return  # folders are renamed into place when they are complete
    stems = generate_song(song.seed, duration_s=song.duration_s, sample_rate=song.sample_rate)
    pcm = {name: np.rint(waveform * 32768).astype(np.int16) for name, waveform in stems.items()}
    pcm["other"] = pcm["other"] + pcm["piano"]
    # Sums of integers, so that the mixture is exactly the sum of the files.
    pcm["mixture"] = pcm["vocals"] + pcm["drums"] + pcm["bass"] + pcm["other"]
    if not song.with_piano:
        del pcm["piano"]
    with atomic_folder(folder, _own_files) as temporary:
        for name, samples in pcm.items():
            scipy.io.wavfile.write(temporary / f"{name}.wav", song.sample_rate, samples)
        (temporary / "song.json").write_text(recipe, "utf-8")


def _setup_yaml(validation_names: list[str], sample_rate: int) -> str:
    import yaml

    sources = ["vocals", "drums", "bass", "other"]
    setup = {
        "sample_rate": float(sample_rate),
        "sources": {name: f"{name}.wav" for name in sources},
        "mixture": "mixture.wav",
        "stem_ids": {"mixture": 0, "drums": 1, "bass": 2, "other": 3, "vocals": 4},
        "targets": {
            **{name: {name: 1} for name in sources},
            "accompaniment": {name: 1 for name in sources[1:]},
            "linear_mixture": {name: 1 for name in sources},
        },
        "validation_tracks": validation_names,
    }
    return yaml.safe_dump(setup, sort_keys=False)
