"""Train on given batches in a process of its own, a few steps whenever asked; run by our Python or by Spleeter's.

    python training_steps.py ours|spleeter CONFIG WEIGHTS BATCHES.npz FOLDER

``WEIGHTS`` is the folder of the checkpoint to start from. ``BATCHES.npz`` holds float32 magnitudes, ``mixture``
``(batches, batch, T, F, channels)`` and ``targets`` ``(batches, batch, stems, T, F, channels)``, taken round and round.
Each line of stdin is a number of steps to do now; each is answered by a JSON line with these steps' ``losses``, those
before the update, ``elapsed_s``, and ``cpu_s``, processor time of all threads. At stdin's end the weights
are checkpoints in ``FOLDER``: ``before`` the first step and ``after`` the last one (Spleeter's: ``model.ckpt-0`` and
``model.ckpt-<steps>``).

Both take the same batches through the same queue and train as their commands do: ours with the steps of
`sepcore.training.trainer`, Spleeter with the Estimator of ``spleeter train``.
"""

import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

# Of Spleeter's variables, those of the network: not the optimizer's, which are named behind them (kernel/Adam).
_NETWORK_VARIABLES = r".*/(kernel|bias|gamma|beta|moving_mean|moving_variance):0"


class Turns:
    """What stdin asks for and stdout answers."""

    def __init__(self):
        self._wanted = 0
        self._losses, self._elapsed_s, self._cpu_s = [], [], []

    def wait(self):
        """Whether one more step is asked for; waits for the next line if the last one is done."""
        if len(self._losses) == self._wanted:
            self._wanted = int(sys.stdin.readline() or 0)
            self._losses, self._elapsed_s, self._cpu_s = [], [], []
            self._began, self._cpu_began = time.perf_counter(), time.process_time()
        return self._wanted > 0

    def done(self, loss):
        """Take the measures of a step, and answer if it was the last one asked for."""
        now, cpu_now = time.perf_counter(), time.process_time()
        self._losses.append(float(loss))
        self._elapsed_s.append(now - self._began)
        self._cpu_s.append(cpu_now - self._cpu_began)
        self._began, self._cpu_began = now, cpu_now
        if len(self._losses) == self._wanted:
            measures = {"losses": self._losses, "elapsed_s": self._elapsed_s, "cpu_s": self._cpu_s}
            sys.stdout.write(json.dumps(measures) + "\n")
            sys.stdout.flush()


def endless(batches_path, form=lambda mixture, targets: (mixture, targets)):
    """A dataset of all batches, round and round, in a form; prefetched, so that no step waits."""
    with np.load(batches_path) as stored:
        batches = list(zip(stored["mixture"], stored["targets"], strict=True))
    signature = tuple(tf.TensorSpec(array.shape, tf.float32) for array in batches[0])
    dataset = tf.data.Dataset.from_generator(lambda: itertools.cycle(batches), output_signature=signature)
    return dataset.map(form).prefetch(2)


def train_ours(config_path, weights, batches_path, folder):
    """Steps as `sepcore.training.trainer` does them."""
    from sepcore import load_config
    from sepcore.networks.spleeter_checkpoint import read_checkpoint, write_checkpoint
    from sepcore.training.optimizers import build_trainable_network, learning_rate

    config = load_config(str(config_path))
    network = build_trainable_network(config)
    read_checkpoint(network, weights)
    write_checkpoint(network, folder / "before", step=0)
    turns, batches, step = Turns(), iter(endless(batches_path)), 0
    while turns.wait():
        network.optimizer.learning_rate = learning_rate(config, step)
        logs = network.train_on_batch(*next(batches), return_dict=True)
        turns.done({name: float(loss) for name, loss in logs.items()}["loss"])
        step += 1
    write_checkpoint(network, folder / "after", step=step)


def train_spleeters(config_path, weights, batches_path, folder):
    """Steps as ``spleeter train`` does them, but from the given weights."""
    from spleeter.model import model_fn

    params = json.loads(config_path.read_text())
    instruments = params["instrument_list"]

    def features_and_labels(mixture, targets):
        labels = {f"{name}_spectrogram": targets[:, index] for index, name in enumerate(instruments)}
        return {f"{params['mix_name']}_spectrogram": mixture}, labels

    class TakeTurns(tf.estimator.SessionRunHook):
        """Asks before each step and answers after it."""

        def __init__(self):
            self._turns = Turns()

        def begin(self):
            """Find the loss in the graph."""
            (self._loss,) = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.LOSSES)

        def after_create_session(self, session, coord):
            """Wait for the first turn, so that the first step's time does not hold the building of the graph."""
            self._turns.wait()

        def before_run(self, run_context):
            """Fetch the loss with the step."""
            return tf.estimator.SessionRunArgs(self._loss)

        def after_run(self, run_context, run_values):
            """Answer, and end the training where no more is asked for."""
            self._turns.done(run_values.results)
            if not self._turns.wait():
                run_context.request_stop()

    estimator = tf.estimator.Estimator(
        model_fn=model_fn,
        model_dir=str(folder),
        params=params,
        # As `spleeter train` has it.
        config=tf.estimator.RunConfig(
            save_checkpoints_steps=params["save_checkpoints_steps"],
            tf_random_seed=params["random_seed"],
            save_summary_steps=params["save_summary_steps"],
            log_step_count_steps=10,
            keep_checkpoint_max=2,
        ),
        warm_start_from=tf.estimator.WarmStartSettings(
            ckpt_to_initialize_from=tf.train.latest_checkpoint(weights), vars_to_warm_start=[_NETWORK_VARIABLES]
        ),
    )
    estimator.train(lambda: endless(batches_path, features_and_labels), hooks=[TakeTurns()])


def main():
    who, paths = sys.argv[1], map(Path, sys.argv[2:])
    {"ours": train_ours, "spleeter": train_spleeters}[who](*paths)


if __name__ == "__main__":
    main()
