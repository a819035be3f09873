"""The manifest that an augmentation reads, and the one that it writes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.augment.songs import AUDIO_FOLDER
from sepcore.dataset.ingest.manifests import LEFT_OUT_FILE, left_out_file, left_out_texts
from sepcore.dataset.ingest.targets import LeftOut, check_mixture_name, refusal
from sepcore.dataset.manifest import TrackRow, manifest_text
from sepcore.dataset.written_texts import WrittenTexts
from sepcore.errors import ConfigError, DatasetError
from sepcore.system.atomic import remove_leftovers, write_text
from sepcore.system.locks import locked
from sepcore.system.os_errors import fix_for, reason_of
from sepcore.system.ownership import shown_names

_MANIFEST = "train.csv"
_RECORD_FILE = ".augment.json"
_MOST_CHANNELS = 8


def training_manifest(config: ModelConfig, given: Path | None, out: Path) -> Path:
    """The manifest of the recorded training songs: the one given, or the config's.

    Raises:
        ConfigError: there is none, the files that are made cannot hold the config's channels, or an instrument is
            called as the mixture.
        DatasetError: the one given lists validation or test songs, an augmentation wrote it, or it would be replaced.
    """
    if config.num_channels > _MOST_CHANNELS:
        hint = f"FLAC files hold {_MOST_CHANNELS} channels at most."
        raise ConfigError(f"n_channels is {config.num_channels}", hint=hint)
    check_mixture_name(config)
    if given is None and config.train_csv is None:
        raise ConfigError("the config has no train_csv", hint="Set it to a CSV, or give --train-csv.")
    source = given or Path(str(config.train_csv))
    hint = "Give the manifest of the recorded songs with --train-csv."
    for key, csv in (("validation_csv", config.validation_csv), ("test_csv", config.test_csv)):
        if given is not None and csv is not None and _same(given, Path(csv)):
            raise DatasetError(f"is the config's {key}, and only training songs are varied", path=source, hint=hint)
    if source.name == _MANIFEST and (source.parent / _RECORD_FILE).is_file():
        raise DatasetError("lists variants already: flows.augment wrote it", path=source, hint=hint)
    if _same(source, out / _MANIFEST):
        raise DatasetError("would be replaced by the new manifest", path=source, hint="Choose another --out.")
    return source


def claim_manifest(out: Path) -> None:
    """Raise DatasetError if ``out`` has a manifest that no augmentation wrote, or that somebody edited since."""
    if foreign := WrittenTexts(out, _RECORD_FILE).foreign((_MANIFEST, LEFT_OUT_FILE)):
        problem = f"has {shown_names(foreign)}, which flows.augment did not write or somebody edited since"
        raise DatasetError(problem, path=out, hint="Move it away, or choose another --out.")


@contextmanager
def lock_output(out: Path) -> Iterator[None]:
    """Lock the folder of an augmentation, which is made if missing; wait for a process that holds it, and name it.

    Raises:
        DatasetError: the folder or its lock cannot be made.
    """
    with ExitStack() as held:
        try:
            out.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(out / ".lock", f"making variants in {out}"))
        except OSError as error:
            problem, hint = f"cannot be written to ({reason_of(error)})", f"{fix_for(error)}, or choose another --out."
            raise DatasetError(problem, path=out, hint=hint, errno=error.errno) from error
        yield


def remove_unfinished(out: Path) -> None:
    """Remove what killed processes left half done."""
    for folder in (out, *(out / AUDIO_FOLDER).glob("*/")):
        remove_leftovers(folder)


def write_manifest(out: Path, rows: Sequence[TrackRow], left_out: Sequence[LeftOut], config: ModelConfig) -> Path:
    """Write ``train.csv``, and ``left_out.csv`` if songs were left out; the path of the manifest.

    Raises:
        DatasetError: no song is left, or a file belongs to somebody else; nothing is written.
    """
    if not rows:
        raise refusal(left_out)
    claim_manifest(out)
    manifest = out / _MANIFEST
    texts = {_MANIFEST: manifest_text(manifest, rows, config), **left_out_texts(left_out)}
    WrittenTexts(out, _RECORD_FILE).record(texts)
    for name, text in texts.items():
        write_text(out / name, text)
    if not left_out:
        left_out_file(out).unlink(missing_ok=True)
    return manifest


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
