"""The excerpt of a validation song as files to hear, in a browser or on MLflow's page, and a picture to see."""

from pathlib import Path

from sepcore.config.model_config import ModelConfig
from sepcore.evaluation.browser_audio import write_browser_audio
from sepcore.evaluation.example_picture import save_example_picture
from sepcore.evaluation.validation_songs import ScoredSong


def write_targets(song: ScoredSong, folder: Path, config: ModelConfig) -> list[Path]:
    """Write ``mixture`` and ``<instrument>_target``, which no training changes, as audio; see `write_estimates`."""
    targets = {f"{name}_target": waveform for name, waveform in song.targets.items()}
    return write_browser_audio({**targets, "mixture": song.mixture}, folder, config)


def write_estimates(song: ScoredSong, folder: Path, config: ModelConfig) -> list[Path]:
    """Write ``<instrument>_estimate`` as audio, and ``picture.png`` of mixture, targets, estimates and masks.

    The audio is as `write_browser_audio` writes it. Each file is written whole or not at all; one that stands there is
    replaced.

    Args:
        song: The song.
        folder: Where to; made if need be.
        config: The model's.

    Returns:
        The files written.

    Raises:
        AudioEncodeError: audio that cannot be written.
        FfmpegMissing: if there is no ffmpeg.
        OSError: a picture that cannot be written.
    """
    estimates = {f"{name}_estimate": waveform for name, waveform in song.estimates.items()}
    files = write_browser_audio(estimates, folder, config)
    picture = folder / "picture.png"
    save_example_picture(picture, song, config)
    return [*files, picture]
