import math

import pytest

from sepcore.training.selection import Selection
from tests.models import small_config


def selected(values, key="validation_loss", **keys):
    """The selection after validations at steps 1, 2, … with these values."""
    config, selection = small_config(**keys), Selection()
    for step, value in enumerate(values, 1):
        selection = selection.after(step, {key: value}, config)
    return selection


def test_the_lowest_validation_loss_is_the_best():
    assert (selected([3, 1, 2]).best_step, selected([3, 1, 2]).best_value) == (2, 1)


def test_the_highest_sdr_is_the_best_where_the_config_says_so():
    assert selected([3, 1, 2], "validation_SDR", model_choice="validation_sdr").best_step == 1


def test_the_first_of_equal_validations_stays_the_best():
    assert selected([1, 1]).best_step == 1


@pytest.mark.parametrize("value", [math.nan, None])
def test_a_validation_without_a_value_decides_nothing(value):
    metrics = {} if value is None else {"validation_loss": value}
    assert selected([2]).after(2, metrics, small_config()) == selected([2])


def test_patience_counts_validations_since_the_best():
    config = small_config(patience=2)
    ends = [selected(values, patience=2).ends_training(config) for values in ([1, 2], [1, 2, 0.5], [1, 2, 3])]
    assert ends == [False, False, True]


def test_without_patience_training_never_ends_early():
    assert not selected([1] + [2] * 100).ends_training(small_config())


def test_a_plateau_lowers_the_rate_again_and_again_and_a_better_validation_starts_the_count_anew():
    keys = {"schedule": "plateau", "plateau_patience": 2, "plateau_factor": 0.1}
    factors = [selected([5, 6, 7, 8, 9][:count], **keys).rate_factor for count in range(1, 6)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert selected([5, 6, 4, 7], **keys).rate_factor == 1


def test_only_the_schedule_plateau_lowers_the_rate():
    assert selected([5] * 20).rate_factor == 1


def test_a_selection_comes_back_from_its_json():
    for selection in (Selection(), selected([0.1 + 0.2, 1, 1], schedule="plateau", plateau_patience=1)):
        again = Selection.from_json(selection.to_json())
        assert again.to_json() == selection.to_json()
        assert again.rate_factor == selection.rate_factor
