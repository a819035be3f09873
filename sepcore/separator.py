"""Waveform in, stems out: whole waveforms, streams and files, with the model loaded once."""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from sepcore.engines.base import Engine, join_segments
from sepcore.engines.select import EngineName, check_engine, load_engine
from sepcore.provider.resolve import locate_model
from sepcore.signal.audio_writer import Bits
from sepcore.signal.blocks import overlap_add_blocks
from sepcore.signal.channels import to_channels
from sepcore.signal.spectrogram import inverse_stft, num_frames, stft
from sepcore.signal.wiener import wiener_filter
from sepcore.stem_files.names import DEFAULT_FORMAT, stem_paths
from sepcore.stem_files.options import StemFileOptions
from sepcore.stem_files.song import separate_file

_logger = logging.getLogger(__name__)

# Wiener filtering estimates covariances over a window of this many seconds: all of an ordinary song. Its memory grows
# with the window, so longer streams are filtered window by window.
MWF_WINDOW_S = 300.0


Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class SeparatorSettings:
    """All that decides a separation beside the audio; small, so that it can be sent to another process.

    Attributes:
        model: What ``-p`` takes: a name (``2stems``), a JSON file, a release tarball, a run folder. A named model that
            is not in `MODEL_PATH` is downloaded.
        mwf: Multichannel Wiener filtering instead of ratio masks; None: as the config says.
        engine: What runs the network; ``"auto"``: the best one here.
    """

    model: str
    mwf: bool | None = None
    engine: EngineName = "auto"


class Separator:
    """A model, ready to separate.

    Args:
        model: See `SeparatorSettings`; so are all others.
        mwf: Multichannel Wiener filtering instead of ratio masks; None: as the config says.
        engine: ``"auto"`` or ``"tensorflow"``.
        load: Load the network now; False: when it is first needed.

    Raises:
        ConfigError: the config cannot be used, or there is no such engine.
        ProviderError: the model is not there and cannot be fetched.
        CheckpointError: its weights do not fit the network.
    """

    def __init__(
        self, model: str | Path, *, mwf: bool | None = None, engine: EngineName = "auto", load: bool = True
    ) -> None:
        check_engine(engine)
        located = locate_model(model)
        self.name = located.name
        self.folder = located.folder
        self.config = located.config
        self.mwf = self.config.mwf if mwf is None else mwf
        self._engine_name = engine
        self._loading = Lock()
        self._engine: Engine | None = None
        if load:
            self._engine = self.engine

    @classmethod
    def of(cls, settings: SeparatorSettings) -> Self:
        """The separator of some settings, whose network is loaded when it is first needed."""
        return cls(settings.model, mwf=settings.mwf, engine=settings.engine, load=False)

    @property
    def engine(self) -> Engine:
        """What runs the network; CheckpointError if it is not loaded yet and the weights do not fit."""
        with self._loading:
            if self._engine is None:
                self._engine = load_engine(self._engine_name, self.config, self.folder)
            return self._engine

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of the stems, in the order of the network's outputs."""
        return self.config.instruments

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with the weights and with what else decides the stems; loads no network."""
        config = self.config
        deciding = f"{config.fingerprint()} {config.separation_exponent} {config.mask_extension} {self.mwf}"
        digest = hashlib.sha256(deciding.encode())
        for part in sorted(self.folder.glob("*.data-*")):
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:16]

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
        waveform = _checked(waveform)
        frames = num_frames(len(waveform), self.config.frame_length, self.config.hop_length)
        parts = list(self._separated([waveform], mwf_frames=frames))
        if not parts:
            shape = (len(self.instruments), 0, self.config.num_channels)
            parts = [np.zeros(shape, np.float32)]
        return dict(zip(self.instruments, np.concatenate(parts, axis=1), strict=True))

    def stream(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Separate a waveform of any length in bounded memory.

        With ratio masks the samples are those of `separate`, however the waveform is cut. Wiener filtering needs the
        statistics of the whole track: here it has those of windows of `MWF_WINDOW_S`, and says so of a longer track.

        Args:
            blocks: Consecutive pieces of the waveform, of any length; see `separate`.

        Yields:
            Consecutive pieces of every stem; in all as many samples as came in.
        """
        segments = MWF_WINDOW_S * self.config.sample_rate / self.config.hop_length // self.config.segment_frames
        mwf_frames = max(int(segments), 1) * self.config.segment_frames
        for stems in self._separated((_checked(block) for block in blocks), mwf_frames=mwf_frames):
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
    ) -> dict[str, Path]:
        """Separate a file into one file per stem, as a stream; the whole file unless ``duration`` says less.

        Args:
            path: Anything that ffmpeg reads.
            out_dir: Folder of the stems; made if need be.
            filename_format: With the fields ``{filename}``, ``{instrument}``, ``{foldername}`` and ``{codec}``.
            codec: wav, flac, mp3, ogg, m4a or wma.
            bitrate: Of the lossy codecs.
            offset: Where to start, in seconds.
            duration: How much to separate, in seconds; None: to the end.
            bits: 16, 24, or 32 (float) for wav; 16 or 24 for flac.

        Returns:
            The file of every stem.

        Raises:
            ConfigError: the format cannot be used.
            AudioDecodeError: the file cannot be read.
            AudioEncodeError: a stem cannot be written; nothing is left of the others either.
        """
        song = Path(path)
        stems = stem_paths(song, Path(out_dir), self.instruments, filename_format=filename_format, codec=codec)
        options = StemFileOptions(offset_s=offset, duration_s=duration, codec=codec, bitrate=bitrate, bits=bits)
        separate_file(self, song, stems, options)
        return stems

    def _separated(self, blocks: Iterable[NDArray[np.float32]], *, mwf_frames: int) -> Iterator[NDArray[np.float32]]:
        config = self.config
        pieces = (to_channels(block, config.num_channels) for block in blocks)
        if not self.mwf:
            return self.engine.separate(pieces)
        windows = 0

        def wiener(samples: NDArray[np.float32]) -> NDArray[np.float32]:
            nonlocal windows
            windows += 1
            if windows == 2:
                _logger.warning("longer than %.0f s: Wiener filtering works in windows of that length", MWF_WINDOW_S)
            return self._wiener_block(samples)

        return overlap_add_blocks(
            pieces,
            wiener,
            frame_length=config.frame_length,
            hop_length=config.hop_length,
            block_frames=mwf_frames,
            last_multiple=1,
        )

    def _wiener_block(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `Engine.separate_block`, by Wiener filtering, for any number of frames."""
        config = self.config
        spectrum = stft(samples, frame_length=config.frame_length, hop_length=config.hop_length)
        frames, segment = len(spectrum), config.segment_frames
        whole = np.pad(spectrum, [(0, -frames % segment), (0, 0), (0, 0)])
        estimates = [
            self.engine.estimate(self.engine.segments(whole[start : start + segment]))
            for start in range(0, len(whole), segment)
        ]
        stems = wiener_filter(join_segments(np.concatenate(estimates))[:, :frames], spectrum)
        return inverse_stft(stems, frame_length=config.frame_length, hop_length=config.hop_length)


def _checked(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    if waveform.ndim != 2 or not np.issubdtype(waveform.dtype, np.floating):
        raise ValueError(
            f"waveform is {waveform.dtype} of shape {waveform.shape}; expected float32 (samples, channels) in [-1, 1]. "
            "A mono signal is waveform[:, None]."
        )
    waveform = waveform.astype(np.float32, copy=False)
    if not np.isfinite(waveform).all():
        raise ValueError("waveform holds NaN or infinity; clean it first, e.g. with numpy.nan_to_num.")
    return waveform
