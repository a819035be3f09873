import re
from html import unescape

import numpy as np
import pytest

from sepcore.evaluation.report.evaluation_report import EvaluationReport
from sepcore.evaluation.report.report import build_report, write_report
from tests.evaluation.report.evaluations import evaluation, frames_table, tone_excerpt, tracks_table

HOSTILE = "<script>alert(1)</script> \"'&"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt; &#34;&#39;&amp;"


def page_of(content):
    """The page without its figure, which takes a second to draw."""
    return "".join(build_report(content, "<svg></svg>"))


def rows(page, heading):
    """The cells of a section's first table, as text, without its headings."""
    section = page.split(f"<h2>{heading}</h2>")[1].split("</table>")[0].split("<tbody>")[1]
    return [
        [unescape(re.sub(r"<[^>]*>", "", cell)) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in section.strip().splitlines()
        if row.startswith("<tr")
    ]


def section(page, heading):
    return page.split(f"<h2>{heading}</h2>")[1].split("<h2>")[0]


def test_a_report_is_a_page_and_two_pictures(tmp_path):
    page = write_report(tmp_path / "new", evaluation())
    assert page == tmp_path / "new" / "report.html"
    assert sorted(path.name for path in page.parent.iterdir()) == ["boxplot.png", "boxplot.svg", "report.html"]


def test_the_same_evaluation_gives_the_same_bytes_wherever_it_is_written(tmp_path):
    pages = []
    for name in ("a", "b"):
        excerpt = tone_excerpt(tmp_path / name / "excerpt", seconds=0.5)
        pages.append(write_report(tmp_path / name, evaluation(excerpts=[excerpt])).read_bytes())
    assert pages[0] == pages[1]
    assert str(tmp_path).encode() not in pages[0]


def test_the_page_refers_to_nothing_outside_itself(tmp_path):
    page = write_report(tmp_path, evaluation(excerpts=[tone_excerpt(tmp_path / "x", seconds=0.5)])).read_text("utf-8")
    references = re.findall(r'(?:src|href|srcset|action|poster|data)="([^"]*)"', page)
    assert references
    assert {reference[:1] if reference.startswith("#") else reference[:5] for reference in references} == {"#", "data:"}
    assert not re.search(r"https?:|@import|//[a-z]+\.[a-z]", re.sub(r"base64[,\"][^\"<]*", "", page))
    assert set(re.findall(r"url\((.)", page)) == {"#"}


def test_the_medians_are_those_over_tracks_and_their_mean_stands_below():
    content = evaluation(stems=("vocals", "bass"))
    table = rows(page_of(content), "Scores")
    columns = ["SDR", "ISR", "SIR", "SAR", "global_SDR", "SI_SDR", "mixture_SDR"]
    medians = content.tracks.groupby("target", sort=False)[columns].median()
    for whole in ("global_SDR", "SI_SDR"):
        medians[whole] = content.tracks.groupby("target", sort=False)[whole].mean()
    medians["gain"] = medians["SDR"] - medians["mixture_SDR"]
    expected = [*medians.to_numpy(), medians.mean().to_numpy()]
    assert [row[0] for row in table] == ["vocals", "bass", "mean of the stems"]
    for row, scores in zip(table, expected, strict=True):
        assert row[1:] == [f"{score:.2f}".replace("-", "−") for score in scores]


def test_a_single_stem_has_no_mean_below():
    assert [row[0] for row in rows(page_of(evaluation(stems=("vocals",))), "Scores")] == ["vocals"]


def test_models_stand_beside_each_other_the_best_mean_first():
    table = rows(page_of(evaluation(is_musdb18_test=True)), "Beside other models")
    by_name = {row[0]: row for row in table}
    assert by_name["Spleeter 4stems, MWF [2]"][1:] == ["6.86", "6.71", "5.51", "4.55", "5.91", "MUSDB18's test set"]
    assert by_name["Open-Unmix (UMX) [4]"][1:5] == ["6.32", "5.73", "5.23", "4.02"]
    assert by_name["my model"][6] == "my songs"
    means = [float(row[5].replace("−", "-")) for row in table]
    assert means == sorted(means, reverse=True)
    assert {"untouched mixture", "ideal ratio mask (oracle)", "my model"} < set(by_name)


def test_a_published_model_without_one_of_the_stems_has_no_mean_and_one_without_any_no_row():
    table = rows(page_of(evaluation(stems=("vocals", "piano"), baselines={})), "Beside other models")
    assert [row[1:4] for row in table if row[0].startswith("Demucs")] == [["7.05", "–", "–"]]
    table = rows(page_of(evaluation(stems=("piano",), baselines={})), "Beside other models")
    assert [row[0] for row in table] == ["my model"]


@pytest.mark.parametrize("is_musdb18_test", [True, False])
def test_the_page_warns_unless_the_songs_are_musdb18s_test_set(is_musdb18_test):
    page = page_of(evaluation(is_musdb18_test=is_musdb18_test))
    warning = "my songs is not MUSDB18&#39;s test set: the published numbers are not comparable"
    assert (f'class="warning" role="note"><strong>{warning}' in page) != is_musdb18_test
    # Beside the table of models, too: what is read in words and by screen readers.
    assert page.count(warning) == (0 if is_musdb18_test else 3)


def test_tracks_stand_worst_first_and_those_without_a_score_last():
    frames = frames_table(["Good", "Silent", "Bad", "Middling"])
    for track, level in (("Good", 9.0), ("Silent", np.nan), ("Bad", -3.456), ("Middling", 2.0)):
        frames.loc[frames["track"] == track, "SDR"] = level
    frames.loc[(frames["track"] == "Good") & (frames["time_s"] == 1.0), "SDR"] = np.nan
    table = rows(page_of(evaluation(frames=frames)), "Tracks")
    assert table == [
        ["Bad", "−3.46", "−3.46", "−3.46", "−3.46", "−3.46", "0 of 24"],
        ["Middling", "2.00", "2.00", "2.00", "2.00", "2.00", "0 of 24"],
        ["Good", "9.00", "9.00", "9.00", "9.00", "9.00", "4 of 24"],
        ["Silent", "–", "–", "–", "–", "–", "24 of 24"],
    ]


def test_a_stem_without_a_score_is_a_dash_and_leaves_the_others_their_mean():
    frames = frames_table(["One", "Two"], stems=("vocals", "bass"))
    frames.loc[frames["target"] == "bass", ["SDR", "ISR", "SIR", "SAR"]] = np.nan
    frames.loc[frames["target"] == "vocals", "SDR"] = 3.0
    page = page_of(evaluation(frames=frames, stems=("vocals", "bass")))
    assert [row[1] for row in rows(page, "Scores")] == ["3.00", "–", "3.00"]
    assert rows(page, "Tracks")[0][1:4] == ["3.00", "–", "3.00"]
    assert "12 of 24 frames" in section(page, "What the numbers mean")
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page)


def test_a_linked_track_leads_to_its_player_with_the_tracks_scores(tmp_path):
    content = evaluation(stems=("vocals", "bass"), excerpts=[tone_excerpt(tmp_path / "x", "Two", seconds=1.0)])
    page = page_of(content)
    assert '<a href="#track-1">Two</a>' in page
    assert page.count('href="#track-') == 1
    player = page.split('id="track-1"')[1].split("</section>")[0]
    vocals, bass = content.tracks.loc[content.tracks["track"] == "Two", "SDR"]
    assert f"0:42 to 0:43 of the track; SDR of the track in dB: vocals {vocals:.2f}, bass {bass:.2f}" in player
    assert player.count("<script type=") == 5


def test_failed_tracks_are_named_with_their_reasons():
    page = page_of(evaluation(failed={"Broken": "no estimate of bass", "Short": "not a number"}))
    assert rows(page, "Failed tracks") == [["Broken", "no estimate of bass"], ["Short", "not a number"]]
    assert "2 tracks without a score" in page
    assert "Failed tracks" not in page_of(evaluation())


def test_an_evaluation_in_which_every_track_failed_is_reported():
    nothing = frames_table(["One"])
    content = evaluation(
        frames=nothing.iloc[:0], tracks=tracks_table(nothing).iloc[:0], baselines={}, failed={"One": "no bass"}
    )
    page = page_of(content)
    assert [row[1] for row in rows(page, "Scores")] == ["–"] * 5
    assert rows(page, "Tracks") == []
    assert "0 of 0 frames" in page
    assert rows(page, "Failed tracks") == [["One", "no bass"]]


def test_the_page_says_how_scores_are_made_and_by_what():
    words = section(page_of(evaluation(engine="our <engine>")), "What the numbers mean")
    for part in ("BSSEval v4", "NaN for every stem", "Medians leave NaN and infinite frames out: here 0 of 72 frames"):
        assert part in words
    for part in ("10 log₁₀((Σ s² + 10⁻⁷) / (Σ (s − ŝ)² + 10⁻⁷))", "Le Roux", "our &lt;engine&gt;"):
        assert part in words


def test_names_are_text_wherever_they_stand(tmp_path):
    stems = (HOSTILE, "bass")
    content = evaluation(
        (HOSTILE,),
        stems=stems,
        model=HOSTILE,
        dataset=HOSTILE,
        engine=HOSTILE,
        failed={HOSTILE: HOSTILE},
        excerpts=[tone_excerpt(tmp_path / "x", HOSTILE, stems=stems, seconds=0.5)],
    )
    baselines = {HOSTILE: content.baselines["irm"]}
    page = page_of(EvaluationReport(**{**vars(content), "baselines": baselines}))
    assert "<script>alert" not in page
    assert page.count(ESCAPED) > 20
