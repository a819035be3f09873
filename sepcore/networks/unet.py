"""Spleeter's U-Nets: one per instrument, with a sigmoid each or a softmax over all."""

from typing import Any

import keras
from keras import ops

from sepcore.config import ModelConfig
from sepcore.config_network import Activation, UNetParams
from sepcore.networks.instrument import InstrumentNetwork, he_uniform

_BATCH_NORM_EPSILON = 1e-3
_LEAKY_SLOPE = 0.2


def _activate(x: Any, name: Activation) -> Any:
    if name == "LeakyReLU":
        return ops.leaky_relu(x, negative_slope=_LEAKY_SLOPE)
    return ops.elu(x) if name == "ELU" else ops.relu(x)


class UNet(InstrumentNetwork):
    """Logits of one instrument's mask.

    Six strided convolutions down, six transposed ones up, every level of the encoder joined raw (before batch norm
    and activation) to the decoder's output of the same size, and a dilated convolution to the audio channels.

    Batch norm always uses its stored statistics and nothing is dropped, in training either: so it is in Spleeter,
    whose graph never leaves inference mode, and so in all its weights.

    References:
        A. Jansson et al., "Singing voice separation with deep U-Net convolutional networks", ISMIR 2017;
        R. Hennequin et al., "Spleeter", JOSS 2020.
    """

    def __init__(self, params: UNetParams, *, num_channels: int, seed: int, name: str) -> None:
        super().__init__(name=name)
        self.params = params
        filters = params.conv_n_filters
        initializer = he_uniform(seed)
        self.down = [
            keras.layers.Conv2D(count, 5, strides=2, padding="same", kernel_initializer=initializer)
            for count in filters
        ]
        self.down_norms = [keras.layers.BatchNormalization(epsilon=_BATCH_NORM_EPSILON) for _ in filters]
        # Spleeter builds a batch norm after the sixth convolution and never uses it; its checkpoints hold it.
        self.down_norms[-1].trainable = False
        self.up = [
            keras.layers.Conv2DTranspose(count, 5, strides=2, padding="same", kernel_initializer=initializer)
            for count in (*filters[-2::-1], 1)
        ]
        self.up_norms = [keras.layers.BatchNormalization(epsilon=_BATCH_NORM_EPSILON) for _ in filters]
        self.last = keras.layers.Conv2D(
            num_channels, 4, dilation_rate=2, padding="same", kernel_initializer=initializer
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights, that of the unused batch norm too."""
        x: Any = keras.KerasTensor(input_shape)
        self._decode(self._encode(x))
        self.down_norms[-1].build((None, None, None, self.params.conv_n_filters[-1]))
        self.built = True

    def call(self, magnitudes: Any) -> Any:
        """Mask logits, of the shape of ``magnitudes``: float32 ``(batch, frames, bins, channels)``."""
        return self._decode(self._encode(magnitudes))

    def _encode(self, x: Any) -> list[Any]:
        skips = []
        for conv, norm in zip(self.down, self.down_norms, strict=True):
            skips.append(conv(x))
            if len(skips) < len(self.down):
                x = _activate(norm(skips[-1], training=False), self.params.conv_activation)
        return skips

    def _decode(self, skips: list[Any]) -> Any:
        x = skips[-1]
        joined = [*skips[-2::-1], None]
        for deconv, norm, skip in zip(self.up, self.up_norms, joined, strict=True):
            x = norm(_activate(deconv(x), self.params.deconv_activation), training=False)
            x = x if skip is None else ops.concatenate([skip, x], axis=-1)
        return self.last(x)

    def spleeter_layers(self) -> list[tuple[str, Any]]:
        """All layers in the order in which Spleeter creates them, each with its kind's name in a checkpoint."""
        pairs = [*zip(self.down, self.down_norms, strict=True), *zip(self.up, self.up_norms, strict=True)]
        convs = ["conv2d"] * len(self.down) + ["conv2d_transpose"] * len(self.up)
        layers = []
        for kind, (conv, norm) in zip(convs, pairs, strict=True):
            layers += [(kind, conv), ("batch_normalization", norm)]
        return [*layers, ("conv2d", self.last)]


def _logits(inputs: Any, config: ModelConfig) -> Any:
    params = config.model.params
    assert isinstance(params, UNetParams)
    nets = [
        UNet(params, num_channels=config.num_channels, seed=config.random_seed, name=instrument_layer_name(index, name))
        for index, name in enumerate(config.instruments)
    ]
    return ops.stack([net(inputs) for net in nets], axis=1)


def instrument_layer_name(index: int, instrument: str) -> str:
    """A layer name Keras takes, whatever characters the instrument's name has."""
    return f"{index}_" + "".join(character if character.isalnum() else "_" for character in instrument)


def build_unet(inputs: Any, config: ModelConfig) -> Any:
    """``unet.unet``: each instrument's mask through a sigmoid of its own; see `registry.build_network` for shapes."""
    return ops.sigmoid(_logits(inputs, config)) * inputs[:, None]


def build_softmax_unet(inputs: Any, config: ModelConfig) -> Any:
    """``unet.softmax_unet``: masks that add up to 1 over the instruments."""
    return ops.softmax(_logits(inputs, config), axis=1) * inputs[:, None]
