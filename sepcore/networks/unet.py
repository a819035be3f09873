"""Spleeter's U-Nets: one per instrument, with a sigmoid each or a softmax over all."""

from typing import Any

import keras
from keras import ops

from sepcore.config.model_config import ModelConfig
from sepcore.config.network import Activation, UNetParams
from sepcore.networks.instrument import InstrumentNetwork, he_uniform, stack_instruments

_BATCH_NORM_EPSILON = 1e-3
_LEAKY_SLOPE = 0.2
_DROPOUT_LEVELS = 3  # of the decoder, from the deepest on


def _activate(x: Any, name: Activation) -> Any:
    if name == "LeakyReLU":
        return ops.leaky_relu(x, negative_slope=_LEAKY_SLOPE)
    return ops.elu(x) if name == "ELU" else ops.relu(x)


def _batch_norm(config: ModelConfig) -> Any:
    return keras.layers.BatchNormalization(momentum=config.batch_norm_momentum, epsilon=_BATCH_NORM_EPSILON)


class UNet(InstrumentNetwork):
    """Logits of one instrument's mask.

    Six strided convolutions down, six transposed ones up, every level of the encoder joined raw (before batch norm
    and activation) to the decoder's output of the same size, and a dilated convolution to the audio channels.

    By default batch norm uses its stored statistics and nothing is dropped, even in training: Spleeter's graph never
    leaves inference mode. The config's ``batch_statistics`` and ``dropout`` switch both on in training.

    References:
        A. Jansson et al., "Singing voice separation with deep U-Net convolutional networks", ISMIR 2017;
        R. Hennequin et al., "Spleeter", JOSS 2020.
    """

    def __init__(self, params: UNetParams, config: ModelConfig, *, name: str) -> None:
        super().__init__(name=name)
        self.params = params
        self.batch_statistics = config.batch_statistics
        filters = params.conv_n_filters
        initializer = he_uniform(config.random_seed)
        self.down = [
            keras.layers.Conv2D(count, 5, strides=2, padding="same", kernel_initializer=initializer)
            for count in filters
        ]
        self.down_norms = [_batch_norm(config) for _ in filters]
        # Spleeter builds a batch norm after the sixth convolution and never uses it; its checkpoints hold it.
        self.down_norms[-1].trainable = False
        self.up = [
            keras.layers.Conv2DTranspose(count, 5, strides=2, padding="same", kernel_initializer=initializer)
            for count in (*filters[-2::-1], 1)
        ]
        self.up_norms = [_batch_norm(config) for _ in filters]
        dropped = [config.dropout] * _DROPOUT_LEVELS + [0.0] * (len(filters) - _DROPOUT_LEVELS)
        self.dropouts = [keras.layers.Dropout(share) if share else None for share in dropped]
        self.last = keras.layers.Conv2D(
            config.num_channels, 4, dilation_rate=2, padding="same", kernel_initializer=initializer
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights, also of the unused batch norm."""
        x: Any = keras.KerasTensor(input_shape)
        self._decode(self._encode(x, training=False), training=False)
        self.down_norms[-1].build((None, None, None, self.params.conv_n_filters[-1]))
        self.built = True

    def call(self, magnitudes: Any, training: bool | None = None) -> Any:
        """Mask logits, of the shape of ``magnitudes``: ``(batch, frames, bins, channels)``."""
        return self._decode(self._encode(magnitudes, training=training), training=training)

    def _encode(self, x: Any, *, training: bool | None) -> list[Any]:
        skips = []
        for conv, norm in zip(self.down, self.down_norms, strict=True):
            skips.append(conv(x))
            if len(skips) < len(self.down):
                x = _activate(self._normalized(skips[-1], norm, training), self.params.conv_activation)
        return skips

    def _normalized(self, x: Any, norm: Any, training: bool | None) -> Any:
        return norm(x, training=training if self.batch_statistics else False)

    def _decode(self, skips: list[Any], *, training: bool | None) -> Any:
        x = skips[-1]
        joined = [*skips[-2::-1], None]
        for deconv, norm, dropout, skip in zip(self.up, self.up_norms, self.dropouts, joined, strict=True):
            x = self._normalized(_activate(deconv(x), self.params.deconv_activation), norm, training)
            x = dropout(x, training=training) if dropout else x
            x = x if skip is None else ops.concatenate([skip, x], axis=-1)
        return self.last(x)

    def spleeter_layers(self) -> list[tuple[str, Any]]:
        """See `InstrumentNetwork.spleeter_layers`."""
        layers = []
        for conv, norm in zip(self.down, self.down_norms, strict=True):
            layers += [("conv2d", conv), ("batch_normalization", norm)]
        for conv, norm in zip(self.up, self.up_norms, strict=True):
            layers += [("conv2d_transpose", conv), ("batch_normalization", norm)]
        return [*layers, ("conv2d", self.last)]


def _logits(inputs: Any, config: ModelConfig) -> Any:
    params = config.model.params
    assert isinstance(params, UNetParams)
    return stack_instruments(inputs, config, lambda name: UNet(params, config, name=name))


def build_unet(inputs: Any, config: ModelConfig) -> Any:
    """``unet.unet``: each instrument's mask through a sigmoid of its own; see `registry.build_network` for shapes."""
    return ops.sigmoid(_logits(inputs, config)) * inputs[:, None]


def build_softmax_unet(inputs: Any, config: ModelConfig) -> Any:
    """``unet.softmax_unet``: masks that add up to 1 over the instruments."""
    return ops.softmax(_logits(inputs, config), axis=1) * inputs[:, None]
