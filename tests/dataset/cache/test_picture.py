import numpy as np
import pytest
from PIL import Image

from sepcore.dataset.cache.comparison import SignalComparison
from sepcore.dataset.cache.picture import save_picture


@pytest.fixture
def comparisons(config):
    rng = np.random.default_rng(0)
    magnitudes_db = rng.uniform(-80, 20, (3, 90, config.num_bins, 2)).astype(np.float32)
    return [
        SignalComparison(name, decibels, decibels + np.float32(0.1), rounding_db=0.2)
        for name, decibels in zip(("mixture", *config.instruments), magnitudes_db, strict=True)
    ]


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), float)


def test_a_signal_more_makes_the_picture_a_row_higher(tmp_path, config, comparisons):
    for number in (1, 3):
        save_picture(tmp_path / "new" / f"{number}.png", comparisons[:number], config, title="A song", start_s=1.0)
    one, three = (pixels(tmp_path / "new" / f"{number}.png") for number in (1, 3))
    assert one.shape[1] == three.shape[1]
    assert three.shape[0] > 2 * one.shape[0] - 100
    assert [path.name for path in sorted((tmp_path / "new").iterdir())] == ["1.png", "3.png"]


def test_a_fault_stands_out_where_it_is_and_rounding_does_not(tmp_path, config, comparisons):
    def reddish(comparison):
        save_picture(tmp_path / "picture.png", [comparison], config, title="A song", start_s=1.0)
        red, green, _ = pixels(tmp_path / "picture.png")[60:-60, -480:-100].transpose(2, 0, 1)
        return np.argwhere(red - green > 100)

    sound = comparisons[0]
    assert not len(reddish(sound))
    cached_db = sound.cached_db.copy()
    cached_db[:30, :40] += 20
    places = reddish(SignalComparison("mixture", cached_db, sound.recomputed_db, rounding_db=0.2))
    assert places[:, 0].mean() > 60  # the low frequencies are below
    assert 20 < places[:, 1].mean() < 120  # the first third


@pytest.mark.parametrize("title", ["日本 – $x_{", "$\\frac$", "", "🎵 " + "long " * 60])
def test_any_title_can_be_drawn(tmp_path, config, comparisons, title):
    save_picture(tmp_path / "picture.png", comparisons[:1], config, title=title, start_s=0.0)
    assert (tmp_path / "picture.png").stat().st_size > 10_000
