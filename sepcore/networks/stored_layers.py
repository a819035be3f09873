"""How a network of one layer says under which names, and in which layout, its weights stand in a checkpoint."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Shape = tuple[int, ...]


def _as_it_is(value: Array) -> tuple[Array, ...]:
    return (value,)


@dataclass(frozen=True)
class StoredVariable:
    """A variable, the tensors that it is stored as, and what makes one of the other."""

    names: tuple[str, ...]
    """Of its tensors, mostly one, all of `stored_shape`."""
    variable: Any
    to_keras: Callable[..., Array] = np.asarray
    """The variable's value, of one argument for each of `names`."""
    to_stored: Callable[[Array], tuple[Array, ...]] = _as_it_is
    """The tensors, in the order of `names`."""
    stored_shape: Shape | None = None
    """None: that of the variable."""

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of each of its tensors."""
        return dict.fromkeys(self.names, self.stored_shape or tuple(self.variable.shape))


class SelfNamedNetwork(keras.layers.Layer):
    """A whole network as one layer, which names the tensors of its checkpoint itself."""

    def stored_variables(self) -> Iterator[StoredVariable]:
        """All its weights, each once."""
        raise NotImplementedError
