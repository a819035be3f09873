"""The YAML beside an SCNet of MSST or of its author, as the keys of a model's JSON, and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sepcore.config.model_config import ModelConfig
from sepcore.config.network import SCNetParams
from sepcore.errors import ConfigError
from sepcore.system.foreign import ForeignTextError, check_texts, parse_json, read_bounded, shortened
from sepcore.system.os_errors import fix_for, reason_of
from sepcore.system.ownership import is_plain_file
from sepcore.system.printable import first_few, printable

AUTHORS_STEMS = ("drums", "bass", "other", "vocals")
_AUTHORS_FRAMES = 476  # of the 11 s that it is trained with
_FRAME, _HOP, _RATE = 4096, 1024, 44100
_CHANNELS = 2
_MOST_BYTES = 100_000  # MSST's have 5 kB; PyYAML takes a second for this
_MOST_SAMPLES = 1 << 27
_OURS = {"standardize"}  # no key of theirs: it is in the author's code, and not in MSST's
_PARAMS = {field.alias or name for name, field in SCNetParams.model_fields.items()} - _OURS
_MODEL_KEYS = _PARAMS | {"sources", "audio_channels", "nfft", "hop_size", "win_size", "normalized"}
_UNOFFICIAL = {"bandsplit_ratios", "downsample_strides", "n_conv_modules", "n_rnn_layers"}
_BUILT = "scnet"
_OWN_MARK = "# Written by flows.models convert --to torch: the YAML by which MSST loads the checkpoint of this name."
_SHOWN = 3


class _Loader(yaml.SafeLoader):
    """Plain values only; tuples, as MSST's files have them, are lists. Without aliases nothing can grow in reading."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.composer.ComposerError(problem="an alias (*)")
        return super().compose_node(parent, index)


def _listed(loader: _Loader, node: yaml.Node) -> list[Any]:
    return loader.construct_sequence(node, deep=True)  # type: ignore[arg-type]  # refuses other nodes itself


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", _listed)


@dataclass(frozen=True)
class ModelYaml:
    """What a YAML of MSST, or of SCNet's author, says.

    Attributes:
        keys: The keys of a model's JSON that it stands for.
        levelled_by: Its key that asks for songs to be brought to one level first; empty if none does.
    """

    keys: dict[str, Any]
    levelled_by: str


def read_model_yaml(path: Path) -> ModelYaml:
    """Read a YAML of MSST, or of SCNet's author.

    ConfigError if it is not such a YAML, or asks for a network that is not built.
    """
    try:
        content = _loaded(path)
        return ModelYaml(_keys(content), _levelled_by(content))
    except OSError as error:
        raise ConfigError(
            f"cannot be read ({reason_of(error)})",
            path=path,
            errno=error.errno,
            hint=f"{fix_for(error, reading=True)}, or give another YAML.",
        ) from error
    except ConfigError as error:
        raise ConfigError(error.problem, path=path, hint=error.hint) from error


def _loaded(path: Path) -> dict[str, Any]:
    hint = "Give the YAML that belongs to the checkpoint."
    try:
        text = read_bounded(path)
        if len(text) > _MOST_BYTES:
            raise ForeignTextError(f"larger than {_MOST_BYTES // 1000} kB")
        # By way of JSON, whose reader knows what is too long, too deep, and no text or number.
        content = parse_json(json.dumps(yaml.load(text, _Loader)), any_text=True)
        check_texts(content)
    except yaml.YAMLError as error:
        reason = printable(" ".join(str(getattr(error, "problem", "") or error).split()))[:200]
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"cannot be read as YAML ({reason}{place})", hint=hint) from error
    except (ValueError, TypeError, RecursionError, AttributeError, OverflowError, LookupError) as error:
        reason = printable(error)[:200] if isinstance(error, ForeignTextError) else "no plain values"
        raise ConfigError(f"cannot be read as YAML ({reason})", hint=hint) from error
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ConfigError("has no section model", hint=hint)
    return content


def _keys(content: Mapping[str, Any]) -> dict[str, Any]:
    model = content["model"]
    audio, training, inference, data = (_section(content, name) for name in ("audio", "training", "inference", "data"))
    _check_built(model, training)
    frame, hop = model.get("nfft", _FRAME), model.get("hop_size", _HOP)
    if model.get("win_size", frame) != frame:
        raise ConfigError(
            f"win_size is {shortened(str(model['win_size']))} and nfft {shortened(str(frame))}",
            hint="Only a window of nfft samples is built here.",
        )
    rate = audio.get("sample_rate", data.get("samplerate", _RATE))
    samples = inference.get("chunk_size", audio.get("chunk_size"))
    if samples is None and type(data.get("segment")) in (int, float) and type(rate) is int:
        samples = round(data["segment"] * rate)
    return scnet_keys(
        {key: value for key, value in model.items() if key in _PARAMS},
        instruments=_instruments(model, training),
        frames=_AUTHORS_FRAMES if samples is None else _frames(samples, hop),
        sample_rate=rate,
        frame_length=frame,
        frame_step=hop,
        n_channels=model.get("audio_channels", _CHANNELS),
        stft_normalized=model.get("normalized", True),
    )


def scnet_keys(
    params: Mapping[str, Any],
    *,
    instruments: list[str],
    frames: int = _AUTHORS_FRAMES,
    frame_length: Any = _FRAME,
    **keys: Any,
) -> dict[str, Any]:
    """The keys of a model's JSON for an SCNet; what is not given is as its author has it."""
    return {
        "instrument_list": instruments,
        "sample_rate": _RATE,
        "frame_length": frame_length,
        "frame_step": _HOP,
        "T": frames,
        "F": frame_length // 2 + 1 if type(frame_length) is int else frame_length,
        "n_channels": _CHANNELS,
        # PyTorch's STFT has no window unless it is given one.
        "stft_window": "rectangular",
        "stft_normalized": True,
        "stft_padding": "centered",
        **keys,
        "model": {"type": "scnet.scnet", "params": dict(params)},
    }


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = content.get(name)
    return section if isinstance(section, dict) else {}


def _levelled_by(content: Mapping[str, Any]) -> str:
    sections = [name for name in ("inference", "data") if _section(content, name).get("normalize") is True]
    return f"{sections[0]}.normalize" if sections else ""


def _check_built(model: Mapping[str, Any], training: Mapping[str, Any]) -> None:
    hint = "Only SCNet itself (scnet) is built here."
    kind = training.get("model_type", _BUILT)
    if kind != _BUILT:
        raise ConfigError(f"model_type is {shortened(str(kind))}, which is not built here", hint=hint)
    unknown = sorted(key for key in model if key not in _MODEL_KEYS)
    if any(key.startswith("tran_") for key in unknown):
        raise ConfigError("asks for SCNet with transformers (scnet_tran), which is not built here", hint=hint)
    if _UNOFFICIAL & set(unknown):
        raise ConfigError("asks for another SCNet (scnet_unofficial), which is not built here", hint=hint)
    if unknown:
        raise ConfigError(f"model has {first_few(unknown, _SHOWN)}, which SCNet does not have", hint=hint)


def _instruments(model: Mapping[str, Any], training: Mapping[str, Any]) -> list[str]:
    """MSST trains the outputs in the order of ``training.instruments``, the author in that of ``model.sources``."""
    sources = model.get("sources", list(AUTHORS_STEMS))
    target = training.get("target_instrument")
    if isinstance(target, str) and isinstance(sources, list) and len(sources) == 1:
        return [target]
    found = training.get("instruments", sources)
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ConfigError("instruments is no list of names")
    return found


def _frames(samples: Any, hop: Any) -> int:
    """The frames that SCNet sees of so many samples, which it pads on the right until they are even in number."""
    if type(samples) is not int or type(hop) is not int or not 0 < hop <= samples <= _MOST_SAMPLES:
        raise ConfigError(f"chunk_size is {shortened(str(samples))}", hint="Give a number of samples, such as 485100.")
    hops = samples // hop + 1
    return hops + 1 + (hops + 1) % 2


def msst_yaml(config: ModelConfig) -> str:
    """The YAML by which MSST loads a model, whose network must be an SCNet."""
    params = json.loads(config.model.params.model_dump_json(by_alias=True, exclude=_OURS))
    stems = list(config.instruments)
    sections = {
        "audio": {
            # The network pads a whole hop, and frames are one more than hops.
            "chunk_size": (config.segment_frames - 2) * config.hop_length,
            "num_channels": config.num_channels,
            "sample_rate": config.sample_rate,
            "min_mean_abs": 0.0,
        },
        "model": {
            "sources": stems,
            "audio_channels": config.num_channels,
            "nfft": config.frame_length,
            "hop_size": config.hop_length,
            "win_size": config.frame_length,
            "normalized": config.stft_normalized,
            **params,
        },
        "training": {"instruments": stems, "target_instrument": None, "model_type": _BUILT, "use_amp": False},
        "inference": {"batch_size": 1, "num_overlap": 2, "normalize": False},
    }
    lines = [_OWN_MARK]
    for name, keys in sections.items():
        lines += [f"{name}:", *(f"  {key}: {json.dumps(value)}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def is_own_yaml(path: Path) -> bool:
    """Whether a file is a YAML that `msst_yaml` has made, by its first line."""
    try:
        content = _loaded(path)
        first = path.read_text("utf-8").partition("\n")[0]
    except (OSError, ValueError, ConfigError):
        return False
    return first == _OWN_MARK and is_plain_file(path) and _section(content, "training").get("model_type") == _BUILT
