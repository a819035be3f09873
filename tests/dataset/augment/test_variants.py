import math

import pytest

from sepcore.dataset.augment.stretch import choose_method
from sepcore.dataset.augment.variants import Variant, variants_of
from sepcore.errors import ConfigError
from tests.raised import raises


def test_a_variant_has_the_name_and_the_flag_of_what_was_asked_for():
    variants = variants_of([-2, 0.5], [0.9, 1.1])
    assert [variant.label for variant in variants] == ["pitch -2", "pitch +0.5", "tempo 0.9", "tempo 1.1"]
    assert [variant.flag for variant in variants] == ["--pitch -2", "--pitch 0.5", "--tempo 0.9", "--tempo 1.1"]


def test_an_octave_is_twelve_semitones_and_only_a_tape_becomes_faster_with_it():
    octave, faster = Variant("pitch", 12), Variant("tempo", 1.25)
    assert [octave.factor, octave.speed("rubberband"), octave.speed("resample")] == [2, 1, 2]
    assert [faster.factor, faster.speed("rubberband"), faster.speed("resample")] == [1.25, 1.25, 1.25]


@pytest.mark.parametrize(
    ("pitch", "tempo", "facts"),
    [
        ([], [], ["neither --pitch nor --tempo"]),
        ([12.5], [], ["--pitch is 12.5", "-12 to 12"]),
        ([0], [], ["--pitch is 0", "not 0"]),
        ([math.nan], [], ["--pitch is nan"]),
        ([1], [0.4], ["--tempo is 0.4", "0.5 to 2"]),
        ([1], [1], ["--tempo is 1", "not 1"]),
        ([], [math.inf], ["--tempo is inf"]),
        ([2, 3, 2], [], ["--pitch 2 is given twice"]),
        ([], [0.9, 0.90000001], ["--tempo 0.9 is given twice"]),
    ],
)
def test_what_cannot_be_meant_is_refused(pitch, tempo, facts):
    with pytest.raises(ValueError, match=r"Give|Leave") as refused:
        variants_of(pitch, tempo)
    assert all(fact in str(refused.value) for fact in facts)


def test_an_octave_up_and_twice_the_tempo_are_one_variant_by_resampling_only():
    variants = variants_of([12, -12], [0.75, 2])
    with raises(ConfigError, "--pitch 12 and --tempo 2"):
        choose_method("resample", variants)
    assert choose_method("resample", variants_of([12, -12], [0.75])) == "resample"
