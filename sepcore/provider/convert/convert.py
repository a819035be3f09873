"""A PyTorch checkpoint of SCNet made a model in `MODEL_PATH`, and a model made such a checkpoint."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sepcore.config.load import parse_config
from sepcore.config.model_config import ModelConfig
from sepcore.config.network import SCNetParams
from sepcore.errors import CheckpointError, ConfigError, ProviderError
from sepcore.networks.checkpoint_files import find_checkpoint
from sepcore.networks.scnet_tensors import fitting_params, scnet_shapes
from sepcore.networks.stored_tensors import load_tensors, write_tensors
from sepcore.provider.checksum import VerifiedArchive, file_sha256
from sepcore.provider.convert.card import Conversion, converted_card
from sepcore.provider.convert.msst_yaml import AUTHORS_STEMS, is_own_yaml, msst_yaml, read_model_yaml, scnet_keys
from sepcore.provider.convert.notes import conversion_notes
from sepcore.provider.convert.states import AUTHORS_STATE, check_fit, find_state, read_state, shapes_of
from sepcore.provider.convert.torch_file import TorchFile
from sepcore.provider.convert.torch_pickle import TorchTensor
from sepcore.provider.convert.torch_writer import write_state_dict
from sepcore.provider.resolve import LocalModel
from sepcore.provider.store import ModelOrigin, model_path, obstacle, own_model_files, putting_model, write_origin
from sepcore.system.atomic import atomic_folder, atomic_path, remove_leftovers, write_text
from sepcore.system.locks import lock_of, locked
from sepcore.system.os_errors import fix_for
from sepcore.system.printable import first_few, printable

CARD_FILE, CONVERSION_FILE = "model_card.md", "conversion.json"
_SHOWN = 3


@dataclass(frozen=True)
class Converted:
    """A model that has been converted.

    Attributes:
        state: The key of the checkpoint that it comes from.
        notes: What was decided without being told, and what the YAML asks for that is not done here; a line each.
        is_new: False if it was there already, the same in all of its files.
    """

    folder: Path
    config: ModelConfig
    state: str
    notes: tuple[str, ...]
    is_new: bool


def convert_checkpoint(
    checkpoint: Path,
    name: str,
    *,
    yaml: Path | None = None,
    instruments: tuple[str, ...] = (),
    license_name: str | None = None,
    standardize: bool | None = None,
    force: bool = False,
) -> Converted:
    """Write the model of a PyTorch checkpoint to ``MODEL_PATH/NAME``; the same one that is there already is kept.

    Args:
        checkpoint: A file of ``torch.save``, with a state dict of SCNet's.
        name: The model's; a plain name that no shipped model has.
        yaml: Of MSST or SCNet's author; without it sizes come from the tensors, the rest is the author's.
        instruments: The stems in the order of the network's outputs, instead of the YAML's.
        license_name: Of the weights, for the card.
        standardize: See `SCNetParams.standardize`; None: true for a checkpoint of SCNet's author.
        force: Replace also another model of that name, but no other files.

    Raises:
        CheckpointError: the checkpoint is no SCNet's, or cannot be read.
        ConfigError: the YAML cannot be used, or asks for what is not built.
        ProviderError: the model cannot be put there; what was there is unchanged.
    """
    with TorchFile(checkpoint) as file:
        state, tensors = find_state(file.content, checkpoint)
        read = read_model_yaml(yaml) if yaml else None
        keys = read.keys if read else _inferred(tensors, checkpoint, instruments)
        if instruments:
            keys["instrument_list"] = list(instruments)
        params = keys["model"]["params"]
        params["standardize"] = state == AUTHORS_STATE if standardize is None else standardize
        notes = conversion_notes(read, state, standardize, has_instruments=bool(instruments))
        config = _config(keys | {"model_dir": name}, yaml or checkpoint)
        params = config.model.params
        assert isinstance(params, SCNetParams)
        check_fit(tensors, params, len(config.instruments), checkpoint)
        names = scnet_shapes(params, len(config.instruments))
        values = read_state(file, {each: tensors[each] for each in names}, checkpoint)
    sha256 = file_sha256(checkpoint)
    conversion = Conversion(checkpoint.name, sha256, state, license_name)
    texts = {
        "config.json": config.to_json() + "\n",
        CONVERSION_FILE: json.dumps(asdict(conversion), indent=2) + "\n",
    }
    folder = model_path() / name
    with putting_model(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock_of(folder), f"converting {name}"):
            if _is_there(folder, sha256, texts, force=force):
                return Converted(folder, config, state, notes, is_new=False)
            remove_leftovers(folder.parent)
            with atomic_folder(folder, lambda old: own_model_files(old, force=force)) as temporary:
                write_tensors(temporary, values, step=0)
                texts[CARD_FILE] = converted_card(name, config, conversion, notes)
                for file_name, text in texts.items():
                    (temporary / file_name).write_text(text, "utf-8")
                write_origin(temporary, VerifiedArchive(checkpoint, sha256, str(checkpoint.absolute())))
    return Converted(folder, config, state, notes, is_new=True)


def _inferred(tensors: dict[str, TorchTensor], checkpoint: Path, instruments: tuple[str, ...]) -> dict[str, Any]:
    fitting = fitting_params(shapes_of(tensors))
    if fitting is None:
        check_fit(tensors, SCNetParams(), len(AUTHORS_STEMS), checkpoint)
        raise CheckpointError("is of no SCNet", path=checkpoint, hint="Give a checkpoint of SCNet.")
    params, num_stems = fitting
    if not instruments and num_stems != len(AUTHORS_STEMS):
        raise ConfigError(
            f"has {num_stems} stems, whose names it does not tell",
            path=checkpoint,
            hint="Give its YAML with --config, or the names in the order of the outputs with --instruments.",
        )
    keys = json.loads(params.model_dump_json(by_alias=True))
    return scnet_keys(keys, instruments=[*AUTHORS_STEMS], n_channels=params.dims[0] // 2)


def _config(keys: dict[str, Any], origin: Path) -> ModelConfig:
    config = parse_config(json.dumps(keys), origin.name)
    # Written, the chunk of the cache is no default any more, so it must be long enough.
    if config.chunk_duration_s * config.sample_rate < config.trainable_samples:
        seconds = -(-config.trainable_samples // config.sample_rate)
        config = parse_config(json.dumps(keys | {"chunk_duration": seconds}), origin.name)
    config.check_trainable()
    return config


def _is_there(folder: Path, sha256: str, texts: Mapping[str, str], *, force: bool) -> bool:
    """Whether the folder has the model already; ProviderError if it has what must not be replaced."""
    if found := obstacle(folder, force=force):
        problem, fix = found
        raise ProviderError(
            f"no model can be put here: it {problem}", path=folder, hint=f"{fix}, or give another --name."
        )
    if force or not find_checkpoint(folder):
        return False
    hint = "Give another --name, or replace it with --force."
    origin = ModelOrigin.of(folder)
    if origin is None or origin.sha256 != sha256:
        raise ProviderError("holds another model", path=folder, hint=hint)
    if others := _differences(folder, origin, texts):
        raise ProviderError(f"holds this model, but {first_few(others, _SHOWN)}", path=folder, hint=hint)
    return True


def _differences(folder: Path, origin: ModelOrigin, texts: Mapping[str, str]) -> list[str]:
    """Where a model's folder is not as it came, or as it would come now with these files."""
    changed = {*origin.changed_files(folder), *(name for name in texts if name not in origin.files)}
    found = [f"{printable(name)} was changed since" for name in sorted(changed)]
    for name in texts.keys() - changed:
        here, new = _flat((folder / name).read_text("utf-8")), _flat(texts[name])
        keys = [key for key in here | new if here.get(key) != new.get(key)]
        found += [f"with another {key} in {name}" for key in keys]
    return found


def _flat(text: str) -> dict[str, Any]:
    """A JSON's keys, those of a config's network among them."""
    content: dict[str, Any] = json.loads(text)
    params = content.get("model", {}).get("params", {})
    return content | {"model": None} | {f"model.params.{key}": value for key, value in params.items()}


def write_torch(model: LocalModel, output: Path, *, force: bool = False) -> Path:
    """Write a model as a PyTorch checkpoint of SCNet (its state dict) and, beside it, the YAML by which MSST loads it.

    Args:
        model: Of an SCNet.
        output: File of the checkpoint, new unless ``force``; the YAML has its name and ``.yaml``.
        force: Replace both, but no YAML that was not written by this function.

    Returns:
        The YAML.

    Raises:
        ConfigError: MSST has no such network, a file is there, or ``output`` is called as the YAML would be.
        CheckpointError: the model's checkpoint is damaged.
    """
    config, beside = model.config, output.with_suffix(".yaml")
    params = config.model.params
    if not isinstance(params, SCNetParams):
        raise ConfigError(f"{model.name} is a {config.model.type}", hint="Only SCNet (scnet.scnet) goes to PyTorch.")
    _check_theirs(model, params)
    if output.suffix.lower() == beside.suffix:
        raise ConfigError(
            "is the name of the YAML beside the checkpoint", path=output, hint=f"Give {output.with_suffix('.ckpt')}."
        )
    taken = [file for file in (output, beside) if os.path.lexists(file)]
    if taken and not (force and all(file.is_file() for file in taken)):
        raise ConfigError("exists already", path=taken[0], hint="Give another file, or replace it with --force.")
    if beside in taken and not is_own_yaml(beside):
        raise ConfigError(
            "is there, and was not written by this command", path=beside, hint="Move it away, or give another file."
        )
    values, _ = load_tensors(scnet_shapes(params, len(config.instruments)), model.folder)
    try:
        with atomic_path(output) as temporary:
            write_state_dict(temporary, values)
        write_text(beside, msst_yaml(config))
    except OSError as error:
        raise ProviderError(
            f"cannot be written ({error})",
            path=output,
            hint=f"{fix_for(error)}, or give another file.",
            errno=error.errno,
        ) from error
    return beside


def _check_theirs(model: LocalModel, params: SCNetParams) -> None:
    """MSST's SCNet has PyTorch's centered STFT without a window, sees all of its bins, and takes them as they are."""
    config = model.config
    given = {
        "stft_window": (config.stft_window, "rectangular"),
        "stft_padding": (config.stft_padding, "centered"),
        "F": (config.num_bins, config.frame_length // 2 + 1),
        "model.params.standardize": (json.dumps(params.standardize), "false"),
    }
    for key, (value, theirs) in given.items():
        if value != theirs:
            raise ConfigError(
                f"{model.name} has {key} = {value}, and MSST's SCNet {theirs}",
                hint=f"Train with {key} = {theirs} to use it there.",
            )
