"""The report as its readers have it: opened in a real browser from a folder, without a server."""

import pytest

from sepcore.evaluation.report.report import write_report
from tests.evaluation.report.evaluations import evaluation, frames_table, tone_excerpt

pytestmark = pytest.mark.slow

STEMS = ("vocals", "bass")
HOSTILE = "<img src=x onerror=alert(1)> \"'$x_{ 曲"


@pytest.fixture
def page(open_page, tmp_path):
    """The report of three tracks, two of which can be heard; the best one's name looks like HTML."""
    frames = frames_table(["Bad", HOSTILE, "Middling"], stems=STEMS)
    for track, level in (("Bad", -3.0), (HOSTILE, 9.0), ("Middling", 2.0)):
        frames.loc[frames["track"] == track, "SDR"] = level
    excerpts = [
        tone_excerpt(tmp_path / str(number), track, stems=STEMS) for number, track in enumerate(("Bad", HOSTILE))
    ]
    return open_page(write_report(tmp_path, evaluation(frames=frames, stems=STEMS, excerpts=excerpts)))


def shown_tracks(page):
    return [text.strip() for text in page.locator("table.sortable tbody th").all_inner_texts()]


def wait(page, condition):
    """Wait until an expression of ``players`` holds."""
    page.evaluate(
        f"""() => new Promise((resolve, reject) => {{
            const players = [...document.querySelectorAll(".player")].map((element) => element.player);
            const end = performance.now() + 10_000;
            const poll = () => {{
                if ({condition}) resolve();
                else if (performance.now() > end) reject(new Error("never so"));
                else setTimeout(poll, 10);
            }};
            poll();
        }})"""
    )


def test_tracks_are_sorted_by_a_click_the_worst_first_at_the_start(page):
    assert shown_tracks(page) == ["Bad", "Middling", HOSTILE]
    page.get_by_role("button", name="mean").click()
    assert shown_tracks(page) == [HOSTILE, "Middling", "Bad"]
    page.get_by_role("button", name="track", exact=True).click()
    assert shown_tracks(page) == sorted(["Bad", "Middling", HOSTILE], key=str.casefold)
    heading = page.get_by_role("columnheader", name="track")
    assert heading.get_attribute("aria-sort") == "ascending"


def test_a_linked_track_is_brought_into_view_and_its_player_plays(page):
    page.get_by_role("link", name=HOSTILE, exact=True).click()
    player = page.locator("#track-2")
    assert player.evaluate("(element) => element.getBoundingClientRect().top < innerHeight")
    player.get_by_role("button", name="Play", exact=True).click()
    wait(page, "players[1].position > 0.2 && players[0].state === 'paused'")
    player.get_by_role("button", name="Estimates").click()
    player.get_by_role("button", name="Mute bass").click()
    wait(
        page, "players[1].voices.every((voice, n) => Math.abs(voice.gain.gain.value - players[1].gains[n].gain) < 0.01)"
    )
    gains = player.evaluate("(element) => element.player.gains.filter(({ gain }) => gain > 0)")
    assert gains == [{"version": "estimate", "stem": "vocals", "gain": 1}]


def test_a_click_on_a_spectrogram_goes_there_and_every_playhead_follows(page):
    spectrogram = page.locator("#track-1 .timeline.picture").first
    box = spectrogram.bounding_box()
    spectrogram.click(position={"x": 0.75 * box["width"], "y": 100})
    assert page.locator("#track-1 .time").inner_text() == "0:15.0 / 0:20.0"
    heads = page.locator("#track-1 .playhead").evaluate_all(
        "(heads) => heads.map((head) => head.getBoundingClientRect().left)"
    )
    assert len(heads) == 3
    assert max(heads) - min(heads) < 1  # mixture and stems stand below each other
    assert heads[0] == pytest.approx(box["x"] + 0.75 * box["width"], abs=3)


def test_pictures_and_box_plots_are_shown(page):
    images = page.locator("img").evaluate_all("(images) => images.map((image) => [image.complete, image.naturalWidth])")
    assert images == [[True, 1000]] * 4
    assert page.locator("figure svg").bounding_box()["height"] > 200
    assert page.locator("figure svg text", has_text="untouched mixture").count() == 2


def test_the_box_plot_takes_the_colors_of_the_page(open_page, tmp_path):
    path = write_report(tmp_path, evaluation(stems=STEMS))
    inks = {}
    for scheme in ("light", "dark"):
        title = open_page(path, color_scheme=scheme).locator("figure svg text", has_text="Demucs").first
        inks[scheme] = title.evaluate("(text) => [getComputedStyle(text).fill, getComputedStyle(document.body).color]")
    assert inks["light"][0] == inks["light"][1] != inks["dark"][0] == inks["dark"][1]


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_itself_never_scrolls_sideways(width, open_page, tmp_path):
    excerpt = tone_excerpt(tmp_path / "x", "A" * 120, stems=("a very long name of a stem " * 3, "b"), seconds=0.5)
    content = evaluation(("A" * 120,), model="model_" * 40, dataset="set_" * 40, excerpts=[excerpt])
    page = open_page(write_report(tmp_path, content), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width
