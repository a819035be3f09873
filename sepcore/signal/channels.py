"""Waveforms in the number of channels that a model takes."""

import numpy as np
from numpy.typing import NDArray

_HALF_POWER = np.sqrt(0.5)
# (left, right) gains of the loudspeakers in the order of WAVE files: ITU-R BS.775's downmix.
_FRONT, _CENTER, _LFE, _BACK, _BACK_CENTER = (
    [(1.0, 0.0), (0.0, 1.0)],
    [(_HALF_POWER, _HALF_POWER)],
    [(0.0, 0.0)],
    [(_HALF_POWER, 0.0), (0.0, _HALF_POWER)],
    [(0.5, 0.5)],
)
_LAYOUTS = {
    3: _FRONT + _LFE,
    4: _FRONT + _CENTER + _BACK_CENTER,
    5: _FRONT + _CENTER + _BACK,
    6: _FRONT + _CENTER + _LFE + _BACK,
    7: _FRONT + _CENTER + _LFE + _BACK_CENTER + _BACK,
    8: _FRONT + _CENTER + _LFE + _BACK + _BACK,
}


def to_channels(waveform: NDArray[np.float32], num_channels: int) -> NDArray[np.float32]:
    """Bring a waveform, float32 ``(samples, channels)``, to ``num_channels``.

    Mono is copied to every channel; stereo becomes mono as the mean; surround (3 to 8 channels in the order of WAVE
    files) is downmixed with gains that cannot clip.

    Raises:
        ValueError: there is no rule for these numbers of channels.
    """
    given = waveform.shape[1]
    if given == num_channels:
        return waveform
    if given == 1:
        return np.repeat(waveform, num_channels, axis=1)
    if given > 2 and num_channels <= 2 and given in _LAYOUTS:
        gains = np.array(_LAYOUTS[given])
        waveform = (waveform @ (gains / gains.sum(axis=0))).astype(np.float32)
    if num_channels == 1 and waveform.shape[1] == 2:
        waveform = waveform.mean(axis=1, keepdims=True, dtype=np.float32)
    if waveform.shape[1] != num_channels:
        raise ValueError(
            f"waveform has {given} channels; the model takes {num_channels}. Give mono, stereo or 3 to 8 channels."
        )
    return waveform


def checked_waveform(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """A waveform of floats, ``(samples, channels)``, as float32.

    Raises:
        ValueError: it has another shape or type, or holds NaN or infinity.
    """
    if waveform.ndim != 2 or not np.issubdtype(waveform.dtype, np.floating):
        raise ValueError(
            f"waveform is {waveform.dtype} of shape {waveform.shape}; expected float32 (samples, channels) in [-1, 1]. "
            "A mono signal is waveform[:, None]."
        )
    waveform = waveform.astype(np.float32, copy=False)
    if not np.isfinite(waveform).all():
        raise ValueError("waveform holds NaN or infinity; clean it first, e.g. with numpy.nan_to_num.")
    return waveform
