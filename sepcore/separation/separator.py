"""Waveform in, stems out: whole waveforms, streams and files, with the model loaded once."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from sepcore.config.choices import Bits, Clipping, EngineName, Precision
from sepcore.engines.base import Engine
from sepcore.engines.converted import weights_sha256
from sepcore.engines.select import load_engine
from sepcore.errors import CheckpointError, ConfigError, ProviderError, StemworksError
from sepcore.networks.checkpoint_files import checkpoint_files, find_checkpoint
from sepcore.networks.stored_tensors import tensor_shapes
from sepcore.provider.checksum import file_identity
from sepcore.separation.settings import SeparatorSettings, for_model, located_model
from sepcore.separation.shifts import average_over_shifts
from sepcore.separation.stem_files.names import DEFAULT_FORMAT, chosen_stems, stem_paths
from sepcore.separation.stem_files.options import StemFileOptions, check_options
from sepcore.separation.stem_files.song import separate_file
from sepcore.separation.wiener_stream import wiener_stream
from sepcore.signal.channels import checked_waveform, to_channels
from sepcore.system.threads import in_thread

# Weights that are replaced while they are read are read again, so often, each time after a longer pause.
_LOADINGS = 4
_FIRST_PAUSE_S = 0.5

_File = tuple[Path, tuple[int, ...]]


@dataclass(frozen=True)
class _Loaded:
    """A network that has been loaded."""

    engine: Engine
    files: list[_File]
    """Of its weights, as they were."""
    weights: str
    """Their fingerprint."""


class Separator:
    """A model, ready to separate.

    Args:
        model: What ``-p`` takes: a name (``2stems``), a JSON file, a release tarball, a run folder.
        mwf: Multichannel Wiener filtering instead of ratio masks; None: as the config says.
        engine: See `SeparatorSettings`; so are ``overlap``, ``shifts`` and ``precision``.
        overlap: Fraction of a segment by which neighbors overlap; None: 0, of complex networks 0.25.
        shifts: How often the waveform is separated.
        precision: What the network computes in.
        overrides: Keys of the model's config with other values, such as ``{"mask_extension": "average"}``.
        load: Load the network now; False: when it is first needed.

    Raises:
        ConfigError: the config cannot be used, or another argument.
        ProviderError: the model is not there and cannot be fetched.
        CheckpointError: its weights do not fit the network.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        mwf: bool | None = None,
        engine: EngineName = "auto",
        overlap: float | None = None,
        shifts: int = 1,
        precision: Precision = "float32",
        overrides: Mapping[str, Any] | None = None,
        load: bool = True,
    ) -> None:
        settings = SeparatorSettings(str(model), mwf, engine, overlap, shifts, precision, dict(overrides or {}))
        located = located_model(settings)
        self.settings = for_model(settings, located.config)
        self.name = located.name
        self.folder = located.folder
        self.config = located.config
        self.mwf = self.config.mwf if mwf is None else mwf
        self._loading = Lock()
        self.load_s = 0.0
        """Seconds that were spent waiting for the network; 0 before."""
        self._early: Future[_Loaded] | None = None
        self._loaded: _Loaded | None = None
        if load:
            self.load()

    @classmethod
    def of(cls, settings: SeparatorSettings) -> Self:
        """The separator of some settings, whose network is loaded when it is first needed."""
        return cls(**vars(settings), load=False)

    def _load(self) -> _Loaded:
        for loading in range(_LOADINGS):
            before = self._files()
            fingerprint = in_thread(weights_sha256, self.folder)
            try:
                engine = load_engine(self.settings.engine, self.config, self.folder, precision=self.settings.precision)
                weights = fingerprint.result()
            except (CheckpointError, FileNotFoundError):
                # Half of the old ones, half of the new; somebody who copies them need not be faster than we look.
                if loading + 1 < _LOADINGS:
                    time.sleep(_FIRST_PAUSE_S * 2**loading)
                if self._files() == before:
                    raise
                continue
            if self._files() == before:
                return _Loaded(engine, before, weights)
        raise CheckpointError(
            f"the weights were replaced {_LOADINGS} times while they were being loaded",
            path=self.folder,
            hint="Try again when nothing writes there.",
        )

    def _files(self) -> list[_File]:
        """The files of the weights as they are now; none if one is missing."""
        try:
            return [(file, file_identity(file)) for file in checkpoint_files(self.folder)]
        except FileNotFoundError:  # they are being replaced
            return []

    @property
    def engine(self) -> Engine:
        """What runs the network; CheckpointError if it is not loaded yet and the weights do not fit."""
        return self.load()

    def load(self) -> Engine:
        """Load the network, unless it is; see `engine`."""
        with self._loading:
            if self._loaded is None:
                started = time.monotonic()
                early, self._early = self._early, None
                loaded = None
                if early:
                    with suppress(StemworksError, OSError):  # what was wrong may have been mended
                        loaded = early.result()
                if loaded is None or loaded.files != self._files():  # replaced since
                    loaded = self._load()
                self._loaded, self.load_s = loaded, time.monotonic() - started
            return self._loaded.engine

    def load_early(self) -> None:
        """Let a thread load a network that is built from its tensors; `load` waits for it, and loads others itself."""
        is_quick = self.settings.engine != "tensorflow" and tensor_shapes(self.config) is not None
        with self._loading:
            if is_quick and self._loaded is None and self._early is None:
                self._early = in_thread(self._load)

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of the stems, in the order of the network's outputs."""
        return self.config.instruments

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with the weights and with what else decides the stems; loads no network.

        The weights are those that are loaded, whatever has become of their files; before that, those in the files.
        """
        config, settings = self.config, self.settings
        deciding = f"{config.fingerprint()} {config.separation_exponent} {config.mask_extension} {self.mwf}"
        if config.mixture_consistency:
            deciding += " mixture_consistency"
        if settings.overlap or settings.shifts > 1 or settings.precision != "float32":
            deciding += f" {settings.overlap} {settings.shifts} {settings.precision}"
        weights = self._loaded.weights if self._loaded else weights_sha256(self.folder)
        return hashlib.sha256(f"{deciding} {weights}".encode()).hexdigest()[:16]

    def is_outdated(self) -> bool:
        """Whether the model's files are now another model's; a model that is gone, or being replaced, is none."""
        try:
            if not find_checkpoint(self.folder):
                return False  # what is loaded is good; to look for the model now might download it
            found = located_model(self.settings)
            if (found.folder, found.config) != (self.folder, self.config):
                return True
            return self._loaded is not None and weights_sha256(self.folder) != self._loaded.weights
        except (ConfigError, ProviderError, OSError):
            return False

    def separate(self, waveform: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Separate a whole waveform.

        Args:
            waveform: float32 ``(samples, channels)`` in [-1, 1] at ``config.sample_rate``. Mono is doubled, more than
                two channels are downmixed.

        Returns:
            Every instrument's stem, float32 ``(samples, config.num_channels)``.

        Raises:
            ValueError: if the waveform is not two-dimensional and real, or holds NaN or infinity.
        """
        parts = list(self._separated([checked_waveform(waveform)], whole=True))
        if not parts:
            shape = (len(self.instruments), 0, self.config.num_channels)
            parts = [np.zeros(shape, np.float32)]
        return dict(zip(self.instruments, np.concatenate(parts, axis=1), strict=True))

    def stream(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Separate a waveform of any length in bounded memory.

        With ratio masks the samples are those of `separate`, however the waveform is cut. Wiener filtering needs the
        statistics of the whole track; of a longer one than five minutes it takes those of windows, and says so.

        Args:
            blocks: Consecutive pieces of the waveform, of any length; see `separate`.

        Yields:
            Consecutive pieces of every stem; in all as many samples as came in.
        """
        for stems in self._separated((checked_waveform(block) for block in blocks), whole=False):
            yield dict(zip(self.instruments, stems, strict=True))

    def separate_to_file(
        self,
        path: str | Path,
        out_dir: str | Path,
        filename_format: str = DEFAULT_FORMAT,
        codec: str = "wav",
        *,
        bitrate: str | None = "128k",
        offset: float = 0.0,
        duration: float | None = None,
        bits: Bits = 16,
        stems: Sequence[str] = (),
        residual: bool = False,
        sample_rate: int | Literal["source"] | None = None,
        keep_mono: bool = False,
        clipping: Clipping | None = None,
    ) -> dict[str, Path]:
        """Separate a file into one file per stem, as a stream; the whole file unless ``duration`` says less.

        Args:
            path: Anything that ffmpeg reads.
            out_dir: Folder of the stems; made if need be.
            filename_format: With the fields ``{filename}``, ``{instrument}``, ``{foldername}`` and ``{codec}``.
            codec: wav, flac, mp3, ogg, opus, m4a, wma or stem.mp4.
            bitrate: Of the lossy codecs.
            offset: Where to start, in seconds.
            duration: How much to separate, in seconds; None: to the end.
            bits: 16, 24, or 32 (float) for wav; 16 or 24 for flac.
            stems: The instruments to write; empty: all.
            residual: Write also what the chosen stems leave of the song.
            sample_rate: Of the stems in Hz, or ``"source"`` for the song's own; None: the model's.
            keep_mono: Write the stems of a mono song in one channel.
            clipping: See `StemFileOptions`.

        Returns:
            The file of every stem; of a ``stem.mp4`` the one of all, as ``stems``.

        Raises:
            ConfigError: the format cannot be used, or another option.
            AudioDecodeError: the file cannot be read.
            AudioEncodeError: a stem cannot be written; nothing is left of the others either.
        """
        song = Path(path)
        wanted = (stems,) if isinstance(stems, str) else tuple(stems)
        options = StemFileOptions(
            offset, duration, codec, bitrate, bits, wanted, residual, sample_rate, keep_mono, clipping
        )
        check_options(options)
        chosen = chosen_stems(self.instruments, options)
        files = stem_paths(song, Path(out_dir), chosen, filename_format=filename_format, codec=codec)
        separate_file(self, song, files, options)
        return files

    def _separated(self, blocks: Iterable[NDArray[np.float32]], *, whole: bool) -> Iterator[NDArray[np.float32]]:
        pieces = (to_channels(block, self.config.num_channels) for block in blocks)
        overlap, shifts = self.settings.overlap, self.settings.shifts

        def separate(pieces: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
            if self.mwf:
                return wiener_stream(self.engine, pieces, whole=whole, overlap=overlap)
            return self.engine.separate(pieces, overlap=overlap)

        if shifts == 1:
            return separate(pieces)
        # Evenly over a segment, and over a hop too: neither grid is met twice.
        period = (self.config.segment_frames + 1) * self.config.hop_length
        return average_over_shifts(separate, pieces, [round(index * period / shifts) for index in range(shifts)])
