import pytest
from mlflow.utils.validation import _validate_metric_name, _validate_param_name

from tasks.mlflow_names import mlflow_name

ODD = [
    "flûte+",
    "flu\u0302te",
    "flu\u0302te+",
    "flöte+",
    "🎸",
    "🥁",
    "100 %",
    "100 &",
    "drums+bass",
    "drums bass!",
    "声♪",
    "a\nb",
    "a//b",
    "a/./b",
    "../up",
    "/root",
    "folder/",
    "x" * 300,
    "x" * 299 + "y",
    "\ud800",
    "\u0007",
]


@pytest.mark.parametrize("name", ["vocals", "Gesang", "flûte", "声", "lead vocals", "a.b-c_d", "piano/left", "x" * 200])
def test_a_name_that_mlflow_takes_stays(name):
    assert mlflow_name(f"test_SDR_{name}") == f"test_SDR_{name}"


def test_every_other_becomes_one_that_it_takes_and_no_two_the_same():
    names = [mlflow_name(prefix + name) for name in ODD for prefix in ("test_SDR_", "")]
    assert len(set(names)) == 2 * len(ODD)
    for name in names:
        _validate_metric_name(name)
        _validate_param_name(name)
        assert 0 < len(name) <= 250


def test_it_can_still_be_read():
    assert mlflow_name("test_SDR_🎸").startswith("test_SDR_guitar-")
    assert mlflow_name("test_SDR_flûte+").startswith("test_SDR_flûte_plus_sign-")
    assert mlflow_name("test_SDR_" + "x" * 300).startswith("test_SDR_xxx")
