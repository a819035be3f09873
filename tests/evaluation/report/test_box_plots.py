import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sepcore.evaluation.report.box_plots import save_box_plots
from tests.evaluation.report.evaluations import evaluation, frames_table, tracks_table

# The panels' texts come in the order of drawing; names of models and the medians beside them are told apart by content.
PUBLISHED = {
    "Spleeter 4stems, masks",
    "Spleeter 4stems, MWF",
    "Spleeter's network, re-run",
    "Open-Unmix (UMX)",
    "Demucs v1",
}
WARNING = "not MUSDB18's test set: the published numbers are not comparable"


def texts(folder):
    """All texts of ``boxplot.svg``, in the order in which they are drawn."""
    root = ElementTree.parse(folder / "boxplot.svg").getroot()
    return ["".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_both_pictures_are_written_and_the_svg_for_the_page_links_to_nothing(tmp_path):
    svg = save_box_plots(tmp_path / "new", evaluation())
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"boxplot.png", "boxplot.svg"}
    with Image.open(tmp_path / "new" / "boxplot.png") as image:
        assert (image.format, image.width) == ("PNG", 1200)
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")
    assert "http" not in svg
    assert set(re.findall(r"url\((.)", svg)) == {"#"}
    assert "currentColor" in svg


def test_the_same_evaluation_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_box_plots(tmp_path / name, evaluation())
    for file in ("boxplot.png", "boxplot.svg"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_panel_has_every_model_with_its_median_the_best_above(tmp_path):
    content = evaluation(stems=("vocals",))
    save_box_plots(tmp_path, content)
    shown = texts(tmp_path)
    names = {*PUBLISHED, "my model", "untouched mixture", "ideal ratio mask (oracle)"}
    assert [text for text in shown if text in names].count("my model") == 1
    assert names <= set(shown)
    medians = [float(text.replace("−", "-")) for text in shown if re.fullmatch(r"−?\d+\.\d\d", text)]
    assert len(medians) == len(names)
    assert medians == sorted(medians, reverse=True)
    assert round(float(content.tracks["SDR"].median()), 2) in medians
    assert {7.05, 6.86, 6.55, 6.32, 4.67} <= set(medians)


def test_only_the_published_stems_have_published_models(tmp_path):
    save_box_plots(tmp_path, evaluation(stems=("piano",), baselines={}))
    assert not PUBLISHED & set(texts(tmp_path))


@pytest.mark.parametrize("is_musdb18_test", [True, False])
def test_the_warning_stands_in_the_picture_unless_the_songs_are_musdb18s_test_set(is_musdb18_test, tmp_path):
    svg = save_box_plots(tmp_path, evaluation(is_musdb18_test=is_musdb18_test))
    assert (WARNING in texts(tmp_path)) != is_musdb18_test
    assert ("published numbers are not comparable" in svg) != is_musdb18_test


def test_a_track_without_a_score_changes_nothing(tmp_path):
    tracks = ("One", "Two", "Three")
    frames = frames_table((*tracks, "Silent"))
    frames.loc[frames["track"] == "Silent", "SDR"] = np.nan
    save_box_plots(tmp_path / "with", evaluation(tracks, frames=frames))
    save_box_plots(tmp_path / "without", evaluation(tracks, frames=frames[frames["track"] != "Silent"]))
    assert (tmp_path / "with" / "boxplot.svg").read_bytes() == (tmp_path / "without" / "boxplot.svg").read_bytes()


def test_a_stem_without_any_scored_track_says_so(tmp_path):
    frames = frames_table(["One", "Two"])
    frames.loc[frames["target"] == "bass", "SDR"] = np.nan
    save_box_plots(tmp_path, evaluation(frames=frames))
    assert texts(tmp_path).count("no track with a score") == 1


@pytest.mark.parametrize("num_stems", [1, 2, 3, 5])
def test_every_number_of_stems_has_as_many_panels(num_stems, tmp_path):
    stems = tuple(f"stem {number}" for number in range(num_stems))
    save_box_plots(tmp_path, evaluation(("One",), stems=stems))
    assert [text for text in texts(tmp_path) if text.startswith("stem ")] == list(stems)


def test_an_evaluation_in_which_every_track_failed_is_drawn(tmp_path):
    nothing = frames_table(["One"]).iloc[:0]
    save_box_plots(
        tmp_path, evaluation(frames=nothing, tracks=tracks_table(frames_table(["One"])).iloc[:0], baselines={})
    )
    assert texts(tmp_path).count("no track with a score") == 4


def test_names_are_text_in_any_alphabet_and_not_formulas(tmp_path):
    name = "<b>&\"' $x_{ 曲"
    svg = save_box_plots(tmp_path, evaluation(stems=(name,), model=name, dataset=name, baselines={}))
    assert f"{name} on {name}" in texts(tmp_path)
    assert texts(tmp_path).count(name) == 2
    assert "<b>" not in svg


@pytest.mark.parametrize("name", ["experiment_" * 5, "experiment " * 5, "a-" * 40])
def test_of_a_long_name_the_start_is_shown(tmp_path, name):
    save_box_plots(tmp_path, evaluation(model=name))
    (label, *_) = [text for text in texts(tmp_path) if text.startswith(name[:20]) and " on " not in text]
    assert label.endswith("…")
    assert 20 < len(label) <= 30


def test_baselines_are_shown_on_the_models_own_tracks(tmp_path):
    beside = tracks_table(frames_table(["One", "Two"], seed=1))
    more = tracks_table(frames_table(["One", "Two", "Three"], level_db=50.0, seed=2))
    more = pd.concat([beside, more[more["track"] == "Three"]])
    for name, table in (("a", beside), ("b", more)):
        save_box_plots(tmp_path / name, evaluation(["One", "Two"], baselines={"irm": table}))
    assert texts(tmp_path / "a") == texts(tmp_path / "b")
