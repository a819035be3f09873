"""Small multitrack sets, and a whole ingest without an orchestrator."""

from collections.abc import Sequence
from pathlib import Path

import ffmpeg
import numpy as np
import pytest
import soundfile

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.audio import prepare_song
from sepcore.dataset.ingest.manifests import write_manifests
from sepcore.dataset.ingest.plan import plan_ingest
from sepcore.dataset.ingest.songs import SPLITS, SourceSong
from sepcore.dataset.manifest import TrackRow, load_manifest
from sepcore.dataset.synthetic.dataset import write_dataset

FOUR_STEMS = ModelConfig(instruments=("vocals", "drums", "bass", "other"))
TWO_STEMS = ModelConfig(instruments=("vocals", "accompaniment"))
FIVE_STEMS = ModelConfig(instruments=("vocals", "piano", "drums", "bass", "other"))


@pytest.fixture(scope="session")
def hq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up set of wav folders: two training songs, one of validation, one of test."""
    root = tmp_path_factory.mktemp("hq")
    write_dataset(root, num_train=2, num_validation=1, num_test=1, duration_s=1, seed=2)
    return root


def noise(name: str, *, seconds: float = 0.5, rate: int = 44100, channels: int = 2, level: float = 0.1) -> np.ndarray:
    """Noise of its own for each name, in multiples of 2^-15, so that 16 bits hold it and sums are exact."""
    rng = np.random.default_rng([*name.encode()])
    waveform = rng.uniform(-level, level, (round(seconds * rate), channels))
    return (np.rint(waveform * 32768) / 32768).astype(np.float32)


def write_recording(path: Path, *, rate: int = 44100, subtype: str | None = None, **kind: float) -> np.ndarray:
    """Write noise as its suffix says (through ffmpeg where libsndfile does not write it) and return it."""
    waveform = noise(path.stem.lower(), rate=rate, **kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in (".wav", ".flac", ".aiff"):
        with path.open("wb") as file:  # whose name may not be Unicode
            soundfile.write(file, waveform, rate, subtype=subtype, format=path.suffix[1:])
    else:
        wav = path.with_suffix(".source.wav")
        soundfile.write(wav, waveform, rate, subtype="FLOAT")
        ffmpeg.input(str(wav)).output(str(path), loglevel="error").run()
        wav.unlink()
    return waveform


def write_song(folder: Path, *files: str, **kind: float) -> dict[str, np.ndarray]:
    """Write recordings of a song; returns them by name."""
    return {Path(file).stem: write_recording(folder / file, **kind) for file in files}


def read(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def modified(folder: Path) -> dict[Path, int]:
    """Every file with its time of change: equal only if nothing was written again."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def ingest(songs: Sequence[SourceSong], out: Path, config: ModelConfig, **split: object) -> dict[str, list[TrackRow]]:
    """Plan, decode and write the manifests of a set; returns what they list."""
    plan = plan_ingest(songs, config, **split)
    rows = {
        split: [prepare_song(song, out, config) for song in plan.splits if plan.splits[song] == split]
        for split in SPLITS
    }
    manifests = write_manifests(rows, plan.left_out, out, config)
    return {split: load_manifest(path, config) for split, path in manifests.items()}
