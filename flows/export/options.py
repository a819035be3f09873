"""The options of flows.export."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.support.options import Flag, Positional, WithOverrides
from sepcore.config.load import load_config
from sepcore.errors import ConfigError
from sepcore.export.destination import open_destination
from sepcore.export.formats import check_exportable


class Options(WithOverrides):
    """A model in a form that runs without this project: TensorFlow's SavedModel, ONNX, or the files of sherpa-onnx."""

    needs = ("export",)

    model: Annotated[str, Positional("MODEL")]
    """A name (2stems, …), a JSON file, a release tarball, a run folder."""
    format: Literal["savedmodel", "onnx", "sherpa-onnx"]
    """savedmodel and onnx: waveform to stems, any model; sherpa-onnx: vocals.onnx and accompaniment.onnx, U-Nets of
    these two stems with Spleeter's spectrograms."""
    output: Annotated[Path, Parameter(name=("-o", "--output"))]
    """Folder of the export, a new or an empty one."""
    overwrite: Flag = False
    """Replace another export in that folder."""

    def set_environment(self, verbose: bool) -> None:
        """Hide the GPU: operations that Keras chooses for one, such as cuDNN's LSTM, run nowhere else."""
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

    def check(self) -> None:
        """Refuse a folder that cannot take it, and a model that has no such form."""
        open_destination(self.output)
        with suppress(ConfigError):  # a model that is not here yet: its config comes with it
            check_exportable(self.changed(load_config(self.model)), self.format)
