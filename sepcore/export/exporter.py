"""Write a model in another form, checked against the original, whole or not at all."""

import hashlib
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sepcore.errors import ExportError
from sepcore.export.destination import Destination, exported_files, write_record
from sepcore.export.formats import Format, check_exportable
from sepcore.networks.checkpoint_files import data_files, find_checkpoint
from sepcore.provider.checksum import file_sha256
from sepcore.provider.resolve import LocalModel
from sepcore.system.atomic import atomic_folder, remove_leftovers

# Copied if the model's folder has them.
_DOCUMENTS = ("LICENSE", "model_card.md")


@dataclass(frozen=True)
class Export:
    """A finished export; ``difference`` from the Keras model is a part of the peak, measured when it was made."""

    folder: Path
    difference: float
    is_new: bool


def export_model(model: LocalModel, form: Format, destination: Destination, *, overwrite: bool = False) -> Export:
    """Write a model in another form, with its ``config.json``, and compare its stems with the Keras model's.

    Args:
        model: See `locate_model`.
        form: ``"savedmodel"``, ``"onnx"`` (waveform to stems) or ``"sherpa-onnx"``.
        destination: See `open_destination`. The very same export there is kept.
        overwrite: Replace another export there.

    Raises:
        ExportError: the form cannot hold the model, another export is there, or the stems differ; the folder is as it
            was.
        CheckpointError: the model's weights do not fit.
    """
    check_exportable(model.config, form)
    fingerprint = export_fingerprint(model, form)
    if destination.record and destination.holds(fingerprint):
        return Export(destination.folder, destination.record.difference, is_new=False)
    destination.check_replaceable(overwrite=overwrite)
    network = _load_network(model)
    remove_leftovers(destination.folder.parent)
    with atomic_folder(destination.folder, exported_files) as folder:
        _write(model, form, network, folder)

        from sepcore.export.parity import export_difference

        difference = export_difference(form, model.config, network, folder)
        (folder / "config.json").write_text(model.config.to_json(), "utf-8")
        for name in _DOCUMENTS:
            if (model.folder / name).is_file():
                shutil.copyfile(model.folder / name, folder / name)
        write_record(folder, form=form, model=model.name, fingerprint=fingerprint, difference=difference)
    return Export(destination.folder, difference, is_new=True)


def export_fingerprint(model: LocalModel, form: Format) -> str:
    """SHA-256 of all that decides an export's files: form, config, weights, and the version of this project."""
    prefix = find_checkpoint(model.folder)
    assert prefix, f"{model.folder} holds a checkpoint: locate_model has found it"
    weights = [file_sha256(part) for part in data_files(prefix)]
    deciding = [form, version("stemworks"), model.config.to_json(), *weights]
    return hashlib.sha256("\n".join(deciding).encode()).hexdigest()


def _load_network(model: LocalModel) -> Any:
    import keras

    if keras.config.backend() != "tensorflow":
        raise ExportError(
            f"KERAS_BACKEND is {keras.config.backend()}, but models are exported from TensorFlow",
            hint="Unset KERAS_BACKEND.",
        )
    from sepcore.networks.keras_settings import use_full_float32
    from sepcore.networks.registry import build_network
    from sepcore.networks.spleeter_checkpoint import read_checkpoint

    use_full_float32()
    network = build_network(model.config)
    read_checkpoint(network, model.folder)
    return network


def _write(model: LocalModel, form: Format, network: Any, folder: Path) -> None:
    if form == "savedmodel":
        from sepcore.export.waveform_model import save_saved_model

        save_saved_model(model.config, network, folder)
    elif form == "onnx":
        from sepcore.export.onnx_files import convert_waveform

        convert_waveform(model.name, model.config, network, folder / "model.onnx")
    else:
        from sepcore.export.onnx_files import convert_for_sherpa

        convert_for_sherpa(model.name, model.config, network, folder)
