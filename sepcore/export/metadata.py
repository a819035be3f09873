"""What an exported file says of its model, so that a reader needs no config beside it."""

import json

from sepcore.config.model_config import ModelConfig


def model_metadata(name: str, config: ModelConfig) -> dict[str, str]:
    """The properties of a model's ONNX file: its name and what a program around it must know, by the config's keys.

    Args:
        name: By which the model is known.
        config: Its config.

    Returns:
        Texts; ``instruments`` is a JSON list, and ``config`` the whole config as JSON.
    """
    values = config.model_dump(by_alias=True)
    keys = (
        "sample_rate",
        "n_channels",
        "frame_length",
        "frame_step",
        "T",
        "F",
        "separation_exponent",
        "mask_extension",
    )
    return {
        "model_name": name,
        "network": config.model.type,
        "instruments": json.dumps(config.instruments, ensure_ascii=False),
        **{key: str(values[key]) for key in keys},
        "config": config.to_json(),
    }
