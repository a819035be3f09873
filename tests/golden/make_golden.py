"""Make the golden cases anew with the real Spleeter: ``make golden`` (it runs this in ``.peers``).

Each case is a folder: ``config.json``; ``model/``, a checkpoint that Spleeter's own graph saved after every variable
was given a seeded random value (batch norm too, whose statistics are 0 and 1 in models that Spleeter trained); and
``expected.npz``: the song's ``seed`` and ``length``, ``starts`` and, as ``<instrument>_<i>``, the windows of the stems
that start there: the head, the seam of the first two segments and the tail. The songs are those of
``synthetic_input.py``.

``blstm_variables.json`` holds the names and shapes of the variables of a BLSTM, which Spleeter runs on CUDA only.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from scipy.io import wavfile
from spleeter.model import EstimatorSpecBuilder
from synthetic_input import synthetic_input

GOLDEN = Path(__file__).parent
SEPARATE = GOLDEN.parent / "peers" / "spleeter_separate.py"
WINDOW = 1024

CONFIG = {
    "train_csv": "unused.csv",
    "validation_csv": "unused.csv",
    "model_dir": "model",
    "mix_name": "mix",
    "sample_rate": 16000,
    "frame_length": 512,
    "frame_step": 128,
    "T": 64,
    "F": 64,
    "n_channels": 2,
    "separation_exponent": 2,
    "mask_extension": "zeros",
    "learning_rate": 0.0001,
    "batch_size": 4,
    "training_cache": "training_cache",
    "validation_cache": "validation_cache",
    "train_max_steps": 10,
    "throttle_secs": 300,
    "random_seed": 0,
    "save_checkpoints_steps": 10,
    "save_summary_steps": 5,
}

FILTERS = {"conv_n_filters": [2, 3, 4, 5, 6, 7]}

# Together: every kind of U-Net, every activation in every place, both mask extensions, MWF, T and F that differ.
CASES = {
    "unet_2stems_average_exp1": {
        "instrument_list": ["vocals", "accompaniment"],
        "separation_exponent": 1,
        "mask_extension": "average",
        "model": {"type": "unet.unet", "params": FILTERS},
    },
    "unet_3stems_elu_mwf": {
        "instrument_list": ["drums", "bass", "other"],
        "F": 128,
        "MWF": True,
        "model": {"type": "unet.unet", "params": {**FILTERS, "conv_activation": "ELU", "deconv_activation": "ELU"}},
    },
    "softmax_4stems_relu_leaky": {
        "instrument_list": ["vocals", "drums", "bass", "other"],
        "T": 128,
        "model": {
            "type": "unet.softmax_unet",
            "params": {**FILTERS, "conv_activation": "ReLU", "deconv_activation": "LeakyReLU"},
        },
    },
}

BLSTM = {
    "instrument_list": ["vocals", "accompaniment"],
    "T": 8,
    "F": 6,
    "model": {"type": "blstm.blstm", "params": {"lstm_units": 5}},
}


def make_case(name, changes, seed):
    """Write one case's folder."""
    folder = GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    config = {**CONFIG, **changes}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_checkpoint(config, folder / "model", np.random.default_rng(seed))

    segment = config["T"] * config["frame_step"]
    length = 2 * segment + segment // 3 + 7 * seed
    # The frames on both sides of the seam share these samples, of the song with one frame of zeros before it.
    seam = segment - config["frame_length"] // 2
    starts = np.array([0, seam - WINDOW // 2, length - WINDOW])
    stems = separate(folder, synthetic_input(seed, length), config)
    windows = {
        f"{instrument}_{i}": stems[instrument][start : start + WINDOW]
        for i, start in enumerate(starts)
        for instrument in config["instrument_list"]
    }
    np.savez_compressed(folder / "expected.npz", seed=seed, length=length, starts=starts, **windows)


def write_checkpoint(config, folder, rng):
    """Save Spleeter's own graph of the config with random values, under the names it reads."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for variable in build_network(config):
            variable.load(random_value(variable.op.name, variable.shape.as_list(), rng), session)
        tf.compat.v1.train.get_or_create_global_step().load(10, session)
        # Relative paths in the file `checkpoint`: the folder can be moved.
        saver = tf.compat.v1.train.Saver(save_relative_paths=True)
        saver.save(session, str(folder / "model"), write_meta_graph=False)


def build_network(config):
    """Build the networks of the config in the current graph; their variables, in order."""
    waveform = tf.compat.v1.placeholder(tf.float32, (None, config["n_channels"]))
    _ = EstimatorSpecBuilder({"waveform": waveform}, config).model_outputs
    return tf.compat.v1.global_variables()


def random_value(name, shape, rng):
    """A value that shows in the stems if it is lost or swapped, but keeps the masks away from 0 and 1."""
    layer, kind = name.rsplit("/", 1)
    if kind == "kernel":
        # Of a transposed convolution of stride 2 only every fourth tap meets an input. Counting them all would make the
        # signal fade on its way up, and nobody would see what the deepest layers do.
        height, width, inputs = (shape[0] / 2, shape[1] / 2, shape[3]) if "transpose" in layer else shape[:3]
        return rng.uniform(-1, 1, shape) * np.sqrt(6 / (height * width * inputs))
    low, high = {
        "bias": (-1.0, 1.0),
        "gamma": (0.5, 1.5),
        "beta": (-1.0, 1.0),
        "moving_mean": (-2.0, 2.0),
        "moving_variance": (0.5, 2.0),
    }[kind]
    return rng.uniform(low, high, shape)


def separate(folder, waveform, config):
    """Spleeter's stems of the waveform, in a process of its own as a user's would be."""
    with tempfile.TemporaryDirectory() as scratch:
        song, stems = Path(scratch, "song.wav"), Path(scratch, "stems.npz")
        wavfile.write(song, config["sample_rate"], waveform)
        mwf = ["--mwf"] if config.get("MWF") else []
        command = [sys.executable, SEPARATE, folder / "config.json", folder, song, stems, *mwf]
        subprocess.run(command, check=True)
        with np.load(stems) as stored:
            return dict(stored)


def write_blstm_variables():
    """Write the config, and the name and shape of every variable of its graph."""
    config = {**CONFIG, **BLSTM}
    with tf.Graph().as_default():
        shapes = {variable.op.name: variable.shape.as_list() for variable in build_network(config)}
    lines = ",\n".join(f"    {json.dumps(name)}: {shape}" for name, shape in shapes.items())
    text = f'{{\n  "config": {json.dumps(config)},\n  "variables": {{\n{lines}\n  }}\n}}\n'
    (GOLDEN / "blstm_variables.json").write_text(text)


if __name__ == "__main__":
    for number, (name, changes) in enumerate(CASES.items(), start=1):
        make_case(name, changes, seed=number)
    write_blstm_variables()
