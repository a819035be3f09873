import numpy as np
import pytest

from sepcore.dataset.draws import Draw, ExampleRandom, epoch_order


def test_the_numbers_of_a_place_never_change():
    # A training goes on under another version of NumPy, or of this project unless DRAWS_VERSION is raised.
    numbers = ExampleRandom(2**32 - 1, 1_000_000, 3).uniform(Draw.REMIX_SONGS, 3)
    np.testing.assert_array_equal(numbers, [0.27233563200306143, 0.4182161182923557, 0.6362430747596172])
    np.testing.assert_array_equal(epoch_order(7, 2**40, 8), [7, 1, 4, 3, 6, 0, 2, 5])


@pytest.mark.parametrize("other", [{"seed": 256}, {"seed": 2**31}, {"step": 256}, {"step": 2**40}, {"place": 256}])
@pytest.mark.parametrize("draw", Draw)
def test_seed_step_and_place_count_at_full_width(other, draw):
    numbers = ExampleRandom(**{"seed": 0, "step": 0, "place": 0}).uniform(draw, 4)
    others = ExampleRandom(**{"seed": 0, "step": 0, "place": 0} | other).uniform(draw, 4)
    assert not np.intersect1d(numbers, others).size


def test_every_kind_of_draw_has_a_stream_of_its_own():
    numbers = np.concatenate([ExampleRandom(1, 2, 3).uniform(draw, 100) for draw in Draw])
    assert len(np.unique(numbers)) == len(numbers)


def test_more_numbers_begin_with_the_same():
    random = ExampleRandom(1, 2, 3)
    np.testing.assert_array_equal(random.uniform(Draw.GAIN, 9)[:4], random.uniform(Draw.GAIN, 4))


def test_numbers_are_uniform():
    numbers = ExampleRandom(1, 2, 3).uniform(Draw.GAIN, 100_000)
    counts = np.histogram(numbers, 100, (0, 1))[0]
    assert abs(counts - 1000).max() < 5 * 1000**0.5
    assert counts.sum() == 100_000
    assert set(ExampleRandom(1, 2, 3).below(Draw.GAIN, np.array([1, 5] * 50))) == {0, 1, 2, 3, 4}


def test_every_epoch_of_every_seed_has_an_order_of_its_own():
    seeds_and_epochs = [*((0, epoch) for epoch in range(600)), *((seed, 0) for seed in (1, 256, 512, 2**31, 2**32 - 1))]
    orders = [epoch_order(seed, epoch, 86) for seed, epoch in seeds_and_epochs]
    assert all(sorted(order) == list(range(86)) for order in orders)
    assert len({tuple(order) for order in orders}) == len(orders)
