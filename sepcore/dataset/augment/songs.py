"""Variants of one song: a folder of audio files each, there whole or not at all, and made anew only where need be."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.augment.mixing import SUFFIX, full_scale_gain, write_stems
from sepcore.dataset.augment.stretch import stretch
from sepcore.dataset.augment.variants import Method, Variant
from sepcore.dataset.check.levels import energy, to_db
from sepcore.dataset.ingest.targets import MIXTURE
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import AudioEncodeError, DatasetError
from sepcore.provider.checksum import file_identity, file_sha256
from sepcore.signal.audio_reader import read_blocks
from sepcore.signal.audio_writer import named_errors
from sepcore.system.atomic import atomic_folder, temporary_folder
from sepcore.system.file_names import safe_name
from sepcore.system.os_errors import EVERY_WRITE_REFUSED, NOT_PERMITTED, TOO_MANY_FILES, fix_for, reason_of
from sepcore.system.ownership import is_plain_file

AUDIO_FOLDER = "audio"
_RECORD_FILE = "made_from.json"
# Raised when variants are computed in another way, so that older ones are made anew.
_FORMAT_VERSION = 1
_BLOCK_SAMPLES = 1 << 17

Record = dict[str, Any]


@dataclass(frozen=True)
class SongVariant:
    """One variant of a song, in files."""

    row: TrackRow
    gain_db: float
    """At most 0: of all its signals, so that none exceeds full scale."""
    residual_db: float
    """What the song's recorded mixture has beyond the sum of its stems, relative to that mixture; at least -180."""


def augment_song(
    row: TrackRow, out: Path, config: ModelConfig, variants: Sequence[Variant], method: Method
) -> tuple[SongVariant, ...]:
    """Make the variants of a song that are not there, in memory that does not depend on its length.

    Each is a folder ``<out>/audio/<settings>/<song> (<variant>)`` with ``mixture.flac`` and ``<instrument>.flac``
    (24 bits, at the config's rate and channels) and ``made_from.json``, which has the content of the recordings, the
    settings and what was written. It gets its name once it is complete; variants of other settings are beside it. A
    variant of other recordings, or whose files are not as they were written, is made anew, and files in its folder that
    are not ours stay. The mixture is the sum of the varied stems, to the bit, also where the
    recorded mixture is not. Where that would exceed full scale, all signals of the variant are turned down by one gain.

    Args:
        row: The song, by absolute paths; it is taken up to the end of its shortest file.
        out: Folder of the variants.
        config: Names the instruments, and says which rate (Hz) and how many channels the files get.
        variants: What to make.
        method: See `sepcore.dataset.augment.stretch.stretch`.

    Raises:
        AudioDecodeError: a recording cannot be decoded.
        DatasetError: a recording cannot be read, or changes while it is read.
        AudioEncodeError: a variant cannot be written, as on a full disk.
    """
    before = _identities(row)
    recordings = {name: _sha256(path) for name, path in zip((MIXTURE, *config.instruments), row.files, strict=True)}
    made = []
    for variant in variants:
        name = f"{row.name} ({variant.label})"
        folder = out / AUDIO_FOLDER / _settings_name(config, method) / safe_name(name)
        settings = _settings(config, method) | {variant.kind: variant.amount}
        origin = {"settings": settings, "recordings": recordings}
        record = _current_record(folder, origin)
        if record is None:
            with named_errors(folder), atomic_folder(folder, _own_files) as new:
                record = origin | _make(row, config, variant, method, new)
                if _identities(row) != before:
                    problem = "a recording of this song has changed while it was read"
                    raise DatasetError(problem, path=row.mixture, hint="Run the command again.")
                (new / _RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", "utf-8")
        made.append(_as_variant(name, folder, record, config))
    return tuple(made)


def _as_variant(name: str, folder: Path, record: Record, config: ModelConfig) -> SongVariant:
    stems = tuple((instrument, folder / f"{instrument}{SUFFIX}") for instrument in config.instruments)
    duration_s = record["num_samples"] / config.sample_rate
    row = TrackRow(name, folder / f"{MIXTURE}{SUFFIX}", stems, duration_s)
    return SongVariant(row, record["gain_db"], record["residual_db"])


def is_songs_own(error: AudioEncodeError) -> bool:
    """Whether a variant may be written of another song: neither the disk nor the folder refuses every file."""
    return error.errno not in EVERY_WRITE_REFUSED | NOT_PERMITTED | TOO_MANY_FILES


def _settings_name(config: ModelConfig, method: Method) -> str:
    """Folder of the variants by these settings: others never replace what a manifest lists."""
    settings = json.dumps(_settings(config, method), sort_keys=True)
    return f"{method}-{hashlib.sha256(settings.encode()).hexdigest()[:8]}"


def _settings(config: ModelConfig, method: Method) -> Record:
    return {
        "format": _FORMAT_VERSION,
        "method": method,
        "sample_rate": config.sample_rate,
        "n_channels": config.num_channels,
        "instrument_list": list(config.instruments),
    }


def _make(row: TrackRow, config: ModelConfig, variant: Variant, method: Method, folder: Path) -> Record:
    """Write a variant's audio into a folder, and return the part of its record that tells of it."""
    song = _SongReader(row, config)
    form = {"sample_rate": config.sample_rate, "num_channels": config.num_channels}
    mixture, *files = (folder / f"{name}{SUFFIX}" for name in (MIXTURE, *config.instruments))
    with temporary_folder(folder) as spools:
        stems = stretch(song, variant, method, spools, num_stems=len(files), **form)
        gain = full_scale_gain(stems, num_stems=len(files), num_channels=config.num_channels)
        write_stems(stems, mixture, files, gain, **form)
    return {
        "num_samples": stems.num_samples,
        "gain_db": 20 * float(np.log10(gain)),
        "residual_db": song.residual_db,
        "files": {path.name: [path.stat().st_size, file_sha256(path)] for path in (mixture, *files)},
    }


class _SongReader:
    """The stems of a song side by side, to the end of its shortest file: float32 ``(samples, stems * channels)``."""

    def __init__(self, row: TrackRow, config: ModelConfig) -> None:
        self._row, self._config = row, config
        self._mixture_energy = self._rest_energy = 0.0

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        config = self._config
        form = {"sample_rate": config.sample_rate, "num_channels": config.num_channels}
        with ExitStack() as stack:
            streams = [
                stack.enter_context(closing(read_blocks(path, block_samples=_BLOCK_SAMPLES, **form)))
                for path in self._row.files
            ]
            for blocks in zip(*streams, strict=False):  # all have the same length, except for each one's last
                length = min(map(len, blocks))
                mixture, *stems = (block[:length] for block in blocks)
                self._mixture_energy += energy(mixture)
                self._rest_energy += energy(mixture - np.sum(stems, axis=0, dtype=np.float32))
                yield np.concatenate(stems, axis=1)

    @property
    def residual_db(self) -> float:
        """See `SongVariant`; once all blocks were taken."""
        return to_db(self._rest_energy / self._mixture_energy) if self._mixture_energy else to_db(0)


def _current_record(folder: Path, origin: Record) -> Record | None:
    """The record of a variant that is there, undamaged, and was made from ``origin``."""
    record = _read_record(folder)
    same = {key: record.get(key) for key in origin} == origin
    if same and all(_is_as_written(folder / name, *written) for name, written in record["files"].items()):
        return record
    return None


def _own_files(folder: Path) -> set[str]:
    """The files of a variant that are as they were written, see `OwnFiles`."""
    written = _read_record(folder).get("files", {})
    own = {name for name, (size, sha256) in written.items() if _is_as_written(folder / name, size, sha256)}
    return own | {_RECORD_FILE} if written else own


def _is_as_written(path: Path, size: int, sha256: str) -> bool:
    return is_plain_file(path) and path.stat().st_size == size and file_sha256(path) == sha256


def _read_record(folder: Path) -> Record:
    try:
        record = json.loads((folder / _RECORD_FILE).read_text("utf-8"))
        files = {str(name): (int(size), str(sha256)) for name, (size, sha256) in record["files"].items()}
        numbers = {name: float(record[name]) for name in ("gain_db", "residual_db")}
        return {**record, "files": files, "num_samples": int(record["num_samples"]), **numbers}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


@contextmanager
def _reading_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem, hint = f"cannot be read ({reason_of(error)})", f"{fix_for(error, reading=True)}."
        raise DatasetError(problem, path=path, hint=hint, errno=error.errno) from error


def _sha256(path: Path) -> str:
    with _reading_errors(path):
        return file_sha256(path)


def _identities(row: TrackRow) -> list[tuple[int, ...]]:
    with _reading_errors(row.mixture):
        return [file_identity(path) for path in row.files]
