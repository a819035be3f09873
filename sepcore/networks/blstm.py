"""Spleeter's recurrent network: three bidirectional LSTMs per instrument."""

from typing import Any

import keras
from keras import ops

from sepcore.config.model_config import ModelConfig
from sepcore.config.network import BLSTMParams
from sepcore.networks.instrument import InstrumentNetwork, he_uniform, stack_instruments

_LAYERS = 3


class BLSTM(InstrumentNetwork):
    """Magnitudes of one instrument, estimated directly instead of by a mask.

    Spleeter's runs only on CUDA; this one uses Keras' LSTM, on any device.

    References:
        S. Uhlich et al., "Improving music source separation based on deep neural networks through data augmentation
        and network blending", ICASSP 2017.
    """

    def __init__(self, params: BLSTMParams, *, seed: int, name: str) -> None:
        super().__init__(name=name)
        self.params = params
        self.initializer = he_uniform(seed)
        self.layers = [
            keras.layers.Bidirectional(
                keras.layers.LSTM(
                    params.lstm_units,
                    return_sequences=True,
                    kernel_initializer=self.initializer,
                    recurrent_initializer=keras.initializers.Orthogonal(seed=seed),
                )
            )
            for _ in range(_LAYERS)
        ]

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make the weights for ``(batch, frames, bins, channels)``."""
        _, frames, bins, channels = input_shape
        self.dense = keras.layers.Dense(bins * channels, activation="relu", kernel_initializer=self.initializer)
        width = bins * channels
        for layer in self.layers:
            layer.build((None, frames, width))
            width = 2 * self.params.lstm_units
        self.dense.build((None, frames, width))
        self.built = True

    def call(self, magnitudes: Any) -> Any:
        """Estimated magnitudes, >= 0, of the shape of ``magnitudes``: float32 ``(batch, frames, bins, channels)``."""
        _, frames, bins, channels = magnitudes.shape
        x = ops.reshape(magnitudes, (-1, frames, bins * channels))
        for layer in self.layers:
            x = layer(x)
        return ops.reshape(self.dense(x), (-1, frames, bins, channels))

    def spleeter_layers(self) -> list[tuple[str, Any]]:
        """See `InstrumentNetwork.spleeter_layers`."""
        return [*(("bidirectional", layer) for layer in self.layers), ("time_distributed", self.dense)]


def build_blstm(inputs: Any, config: ModelConfig) -> Any:
    """``blstm.blstm``; see `registry.build_network` for shapes."""
    params = config.model.params
    assert isinstance(params, BLSTMParams)
    return stack_instruments(inputs, config, lambda name: BLSTM(params, seed=config.random_seed, name=name))
