"""The table of config keys in docs/config.md, made from the config class: ``python -m sepcore.config.table``."""

import json
import sys
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from sepcore.config.dataset import AugmentationConfig
from sepcore.config.model_config import ModelConfig
from sepcore.config.network import BLSTMParams, SCNetParams, UNetParams


def config_table() -> str:
    """A Markdown table: every key, its default, what it means; the networks' own parameters at the end."""
    rows = ["| key | default | meaning |", "| --- | --- | --- |", *_rows(ModelConfig)]
    rows += _rows(AugmentationConfig, "augmentation.")
    rows += _rows(UNetParams, "model.params.") + _rows(BLSTMParams, "model.params.")
    rows += _rows(SCNetParams, "model.params.")
    return "\n".join(rows) + "\n"


def _rows(model: type[BaseModel], prefix: str = "") -> list[str]:
    rows = []
    for name, field in model.model_fields.items():
        choices = f" ({', '.join(map(str, get_args(field.annotation)))})" if _is_literal(field.annotation) else ""
        meaning = " ".join((field.description or "").replace("``", "`").split())
        rows.append(f"| `{prefix}{field.alias or name}` | {_shown(field.default)} | {meaning}{choices} |")
    return rows


def _is_literal(annotation: Any) -> bool:
    return get_origin(annotation) is Literal


def _shown(default: Any) -> str:
    if default is None or default is PydanticUndefined:
        return "–"
    return f"`{json.dumps(default)}`"


if __name__ == "__main__":
    sys.stdout.write(config_table())
