import numpy as np
import pytest

from sepcore.dataset.activity import Activity
from sepcore.dataset.stretches import Stretches
from tests.dataset.conftest import index_of

SILENT = -180.0


def activity_of(config, levels_db, lengths, *, rate=10, crop=16, songs=None):
    """Of one song, unless the number of chunks of each song is given; levels are of the only stem's seconds."""
    # Crops have (T - 1) * frame_step + frame_length samples.
    small = config.model_copy(update={"sample_rate": rate, "segment_frames": 1, "frame_length": crop})
    levels = [[[0.0] * len(stem), stem] for stem in levels_db]
    index = index_of(songs or [len(lengths)], length=lengths, levels_db=levels)
    return Activity(index, small, Stretches(index, small))


def sounds(first, length, levels_db, loudest, *, rate, crop):
    """Whether a crop has a second of a stretch of sounding ones, or as much as there is."""
    sounding = np.repeat(np.array(levels_db) >= loudest - 60, rate)[:length]
    numbers = np.cumsum(np.diff(sounding, prepend=False))  # odd within a stretch
    stretches = [np.flatnonzero(numbers == number) for number in range(1, numbers.max() + 1, 2)]
    inside = [((stretch >= first) & (stretch < first + crop)).sum() for stretch in stretches]
    return any(n >= min(rate, crop, len(stretch)) for n, stretch in zip(inside, stretches, strict=True))


@pytest.mark.parametrize("crop", [3, 10, 16, 33])
@pytest.mark.parametrize("seed", range(5))
def test_every_crop_that_sounds_is_drawn_as_often_and_no_other(config, crop, seed):
    rng, rate = np.random.default_rng(seed), 10
    lengths = rng.integers(crop, 80, 4).tolist()
    levels = [
        rng.choice([-20.0, -79.0, -81.0, SILENT], -(-length // rate), p=[0.1, 0.2, 0.3, 0.4]) for length in lengths
    ]
    levels[2][0] = -20.0
    expected = [
        (chunk, first)
        for chunk, (length, of_chunk) in enumerate(zip(lengths, levels, strict=True))
        for first in range(length - crop + 1)
        if sounds(first, length, of_chunk, -20.0, rate=rate, crop=crop)
    ]
    activity = activity_of(config, levels, lengths, crop=crop)
    shares = (np.arange(len(expected)) + 0.5) / len(expected)
    assert [activity.crop(1, 0, share) for share in shares] == expected
    assert activity.crop(1, 0, 0.0) == expected[0]
    assert activity.crop(1, 0, np.nextafter(1, 0)) == expected[-1]


def test_crops_come_from_the_chunks_own_song(config):
    levels = [[-10.0] * 4, [-10.0] * 4, [-10.0] * 4]
    activity = activity_of(config, levels, [40] * 3, songs=[1, 2])
    assert {activity.crop(0, 0, share)[0] for share in np.linspace(0, 0.99, 50)} == {0}
    assert {activity.crop(2, 0, share)[0] for share in np.linspace(0, 0.99, 50)} == {1, 2}


def test_quiet_songs_are_measured_by_their_own_loudest_second(config):
    activity = activity_of(config, [[-110.0, -100.0, SILENT, SILENT]], [40])
    firsts = [activity.crop(0, 0, share)[1] for share in np.linspace(0, 0.999, 200)]
    assert set(firsts) == set(range(11))


def test_a_stem_that_never_sounds_has_no_crop(config):
    assert activity_of(config, [[SILENT] * 4], [40]).crop(0, 0, 0.5) is None
