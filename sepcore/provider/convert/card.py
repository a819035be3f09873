"""The card of a model that others have trained: where its weights come from, and what is not known of them."""

from sepcore.config.model_config import ModelConfig
from sepcore.system.printable import printable


def converted_card(name: str, config: ModelConfig, file: str, sha256: str, state: str, license_name: str | None) -> str:
    """The model card as Markdown.

    Args:
        name: The model's.
        config: Its config.
        file: Name of the checkpoint that it was converted from.
        sha256: Of that file, 64 hex digits.
        state: The key of the state dict in it, empty if the file is one.
        license_name: Of the weights; None if it is unknown.
    """
    stems = ", ".join(config.instruments)
    rows = [
        ("network", config.model.type),
        ("audio", f"{config.sample_rate} Hz, {config.num_channels} channel(s)"),
        ("STFT", f"{config.frame_length}-sample {config.stft_window} window, hop {config.hop_length}"),
        ("segment", f"{config.segment_frames} frames x {config.num_bins} bins"),
    ]
    origin = [("file", f"`{_cell(file)}`"), ("SHA-256", f"`{sha256}`")]
    origin += [("state", f"`{state}`")] if state else []
    license_text = (
        f"{_cell(license_name)}, as stated by whoever converted it."
        if license_name
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
