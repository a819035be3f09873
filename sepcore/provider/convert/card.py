"""The card of a model that others have trained: where its weights come from, and what is not known of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sepcore.config.model_config import ModelConfig
from sepcore.system.printable import printable


@dataclass(frozen=True)
class Conversion:
    """Where a converted model comes from; ``conversion.json`` in its folder.

    Attributes:
        file: Name of the checkpoint that it was converted from.
        sha256: Of that file, 64 hex digits.
        state: The key of the state dict in it, empty if the file is one.
        license: Of the weights, as whoever converted them stated it; None if it is unknown.
    """

    file: str
    sha256: str
    state: str
    license: str | None


def converted_card(name: str, config: ModelConfig, conversion: Conversion, notes: Sequence[str]) -> str:
    """The card of a converted model, as Markdown; ``notes`` are of `conversion_notes`."""
    stems = ", ".join(config.instruments)
    rows = [
        ("network", config.model.type),
        ("audio", f"{config.sample_rate} Hz, {config.num_channels} channel(s)"),
        ("STFT", f"{config.frame_length}-sample {config.stft_window} window, hop {config.hop_length}"),
        ("segment", f"{config.segment_frames} frames x {config.num_bins} bins"),
    ]
    origin = [("file", f"`{_cell(conversion.file)}`"), ("SHA-256", f"`{conversion.sha256}`")]
    origin += [("state", f"`{conversion.state}`")] if conversion.state else []
    license_text = (
        f"{_cell(conversion.license)}, as stated by whoever converted it."
        if conversion.license
        else "Unknown: nobody has stated a license for these weights."
    )
    sections = [
        f"# {name}",
        f"Separates music into {len(config.instruments)} stems: {stems}.",
        "## Model",
        _table(rows),
        "## Origin",
        "Converted from a PyTorch checkpoint that others have trained; its values are unchanged, but as float32.",
        _table(origin),
        "\n".join(f"- {note}" for note in notes),
        "## Training",
        "Unknown: a checkpoint does not say on which recordings it was trained, nor how.",
        "## Scores",
        "Never scored here.",
        "## License",
        f"{license_text} The recordings that a model was trained on have licenses of their own, which may limit what "
        "it may be used for.",
    ]
    return "\n\n".join(sections) + "\n"


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("`", "'")


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [("", ""), ("---", "---"), *rows])
