"""The player as a listener has it: in a real browser, judged by the sound that comes out of it."""

from dataclasses import replace

import numpy as np
import pytest

from sepcore.page.player import PlayerSong, PlayerStem
from tests.page.listener import Listener
from tests.page.songs import MIXTURE_HZ, RATE, TONES_HZ, tone, tone_song, write_page, write_wav

pytestmark = pytest.mark.slow


@pytest.fixture
def listener(open_page, tmp_path):
    """The player of a song of 60 s, long enough for any test to end before it."""
    return Listener(open_page(write_page(tmp_path, tone_song(tmp_path, seconds=60.0))))


def heard(version, *stems):
    return [TONES_HZ[stem, version] for stem in stems or ("vocals", "bass")]


def test_nothing_is_decoded_before_somebody_plays(listener):
    assert listener.state("voices.every((voice) => voice.buffer === null)")
    assert listener.at.locator(".time").inner_text() == "0:00.0 / 1:00.0"
    listener.press("Play")
    listener.wait("player.voices.every((voice) => voice.buffer?.duration === 60)")


def test_while_it_plays_clock_time_and_seek_bar_advance_and_a_pause_holds_them(listener):
    listener.press("Play")
    listener.wait("player.output?.context.currentTime > 0.3 && player.position > 0.3")
    listener.wait("player.time.textContent >= '0:00.3' && Number(player.seekBar.value) > 0.3")
    listener.press("Pause")
    listener.hears()
    shown = listener.at.locator(".time").inner_text()
    clock = listener.state("output.context.currentTime")
    listener.wait(f"player.output.context.currentTime > {clock} + 0.2")
    assert listener.at.locator(".time").inner_text() == shown
    listener.press("Play")
    listener.hears(MIXTURE_HZ)
    assert listener.at.locator(".time").inner_text() >= shown


def test_the_mixture_is_heard_first_and_another_version_without_an_interruption(listener):
    listener.press("Play")
    listener.hears(MIXTURE_HZ)
    started = listener.state("startedAt")
    listener.press("Estimates")
    listener.hears(*heard("estimate"))
    listener.press("References")
    listener.hears(*heard("reference"))
    assert (listener.pressed("Mixture"), listener.pressed("Estimates"), listener.pressed("References")) == (
        False,
        False,
        True,
    )
    listener.press("Mixture")
    listener.hears(MIXTURE_HZ)
    assert listener.state("startedAt") == started


def test_a_muted_stem_is_silent_in_every_version_until_it_is_unmuted(listener):
    listener.press("Estimates")
    listener.press("Mute vocals")
    listener.press("Play")
    listener.hears(*heard("estimate", "bass"))
    listener.press("References")
    listener.hears(*heard("reference", "bass"))
    listener.press("Mute vocals")
    listener.hears(*heard("reference"))


def test_a_soloed_stem_is_heard_alone_and_mute_wins_over_solo(listener):
    listener.press("Estimates")
    listener.press("Play")
    listener.press("Solo vocals")
    listener.hears(*heard("estimate", "vocals"))
    listener.press("Solo bass")
    listener.hears(*heard("estimate"))
    listener.press("Mute vocals")
    listener.hears(*heard("estimate", "bass"))
    listener.press("Mute bass")
    listener.hears()


def test_touching_a_stem_leaves_the_mixture_for_the_stems(listener):
    listener.press("Play")
    listener.hears(MIXTURE_HZ)
    listener.press("Solo bass")
    listener.hears(*heard("estimate", "bass"))
    assert listener.pressed("Estimates")


def test_the_volume_of_a_stem_goes_down_to_silence_and_is_the_gain_that_is_told(listener):
    listener.press("Estimates")
    listener.press("Play")
    listener.at.get_by_label("Volume of vocals").fill("0")
    listener.hears(*heard("estimate", "bass"))
    listener.at.get_by_label("Volume of vocals").fill("0.5")
    listener.hears(*heard("estimate"))
    gains = {(voice["version"], voice["stem"]): voice["gain"] for voice in listener.state("gains")}
    assert gains == {
        ("mixture", None): 0,
        ("estimate", "vocals"): 0.5,
        ("estimate", "bass"): 1,
        ("reference", "vocals"): 0,
        ("reference", "bass"): 0,
    }


def test_the_seek_bar_moves_the_song_before_and_while_it_plays(listener):
    listener.at.get_by_label("Position in A song").fill("30")
    assert listener.at.locator(".time").inner_text() == "0:30.0 / 1:00.0"
    listener.press("Play")
    listener.hears(MIXTURE_HZ)
    assert 30 <= listener.state("position") < 40
    listener.at.get_by_label("Position in A song").fill("50")
    listener.wait("player.position > 50.2")
    listener.hears(MIXTURE_HZ)


def test_keys_move_the_song_and_the_space_bar_plays_and_pauses(listener):
    bar = listener.at.get_by_label("Position in A song")
    bar.focus()
    for key, position in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 60), ("Home", 0)):
        bar.press(key)
        assert listener.state("position") == position
    bar.press("Space")
    listener.hears(MIXTURE_HZ)
    bar.press("Space")
    listener.hears()
    listener.at.get_by_role("button", name="Play").press("Space")
    listener.hears(MIXTURE_HZ)
    assert bar.get_attribute("aria-valuetext").endswith(" of 60 seconds")


def test_a_click_on_the_waveform_goes_there(listener):
    waveform = listener.at.locator(".timeline").first
    width = waveform.bounding_box()["width"]
    waveform.click(position={"x": width / 4, "y": 20})
    assert listener.state("position") == pytest.approx(15, abs=0.2)
    assert float(listener.state("element.style.getPropertyValue('--position')")) == pytest.approx(0.25, abs=0.004)
    listener.page.keyboard.press("Space")
    listener.wait("player.state === 'playing' && player.position > 15")


def test_the_waveform_is_drawn_when_the_song_is_decoded(listener):
    picture = """element.querySelector(".waveform").toDataURL()"""
    blank = listener.state(picture)
    listener.press("Play")
    listener.hears(MIXTURE_HZ)
    assert len(listener.state(picture)) > len(blank) + 100


def test_a_waveform_that_is_known_is_drawn_at_once(open_page, tmp_path):
    song = tone_song(tmp_path, seconds=1.0)
    known = song.stems[0].versions["estimate"]
    song = replace(song, peaks={known: bytes([0, 255] * 20)})
    listener = Listener(open_page(write_page(tmp_path, song)))
    listener.wait("player.voices.filter((voice) => voice.peaks).length === 1")
    assert listener.state("voices.every((voice) => voice.buffer === null)")
    heights = """(number) => {
        const canvas = document.querySelectorAll(".waveform")[number];
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const at = (x) => data.filter((_, n) => n % 4 === 3 && (n >> 2) % canvas.width === x && data[n]).length;
        const part = canvas.width / 40;
        return [0.5, 1.5].map((number) => at(Math.round(number * part)) / canvas.height);
    }"""
    assert listener.page.evaluate(heights, 1) == pytest.approx([0, 1], abs=0.05)
    assert listener.page.evaluate(heights, 2) == [0, 0]
    labels = listener.page.evaluate(
        "[...document.querySelectorAll('.timeline')].map((line) => getComputedStyle(line, '::before').content)"
    )
    assert ["drawn" in label for label in labels] == [True, False, True]


def test_in_a_page_of_one_song_its_keys_work_wherever_the_focus_is(open_page, tmp_path):
    path = write_page(tmp_path, tone_song(tmp_path, seconds=90.0), keys="page")
    listener = Listener(open_page(path))
    keyboard = listener.page.keyboard
    keyboard.press("Space")
    listener.hears(MIXTURE_HZ)
    keyboard.press("Space")
    listener.hears()
    listener.state("seek(10)")
    keyboard.press("ArrowRight")
    assert listener.state("position") == 15
    keyboard.press("ArrowDown")  # scrolls
    assert listener.state("position") == 15
    listener.at.get_by_role("button", name="Loop").press("Space")
    assert listener.pressed("Loop")
    assert listener.state("state") == "paused"


def test_the_space_bar_scrolls_a_page_of_several_songs(listener):
    listener.page.keyboard.press("Space")
    assert listener.state("state") == "paused"


def test_a_player_pauses_the_one_that_plays(open_page, tmp_path):
    songs = [tone_song(tmp_path / str(number), name=f"Song {number}", seconds=60.0) for number in range(2)]
    page = open_page(write_page(tmp_path, *songs))
    first, second = Listener(page, 0), Listener(page, 1)
    first.press("Play")
    first.hears(MIXTURE_HZ)
    second.press("Play")
    second.hears(MIXTURE_HZ)
    first.hears()
    assert (first.state("state"), second.state("state")) == ("paused", "playing")


def test_of_two_that_are_started_at_once_the_second_plays(open_page, tmp_path):
    songs = [tone_song(tmp_path / str(number), seconds=60.0) for number in range(2)]
    page = open_page(write_page(tmp_path, *songs))
    page.evaluate("for (const element of document.querySelectorAll('.player')) element.player.play()")
    first, second = Listener(page, 0), Listener(page, 1)
    second.hears(MIXTURE_HZ)
    assert first.state("state") == "paused"


def test_files_are_heard_in_sync_to_the_sample(open_page, tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (20 * RATE, 1)).astype(np.float32)
    stems = [
        PlayerStem(name, {"estimate": write_wav(tmp_path / f"{name}.wav", sign * noise)})
        for name, sign in (("one", 1), ("opposite", -1))
    ]
    song = PlayerSong("Noise", 20.0, write_wav(tmp_path / "mixture.wav", noise), stems)
    listener = Listener(open_page(write_page(tmp_path, song)))
    listener.press("Play")
    listener.wait("player.state === 'playing' && loudnessOf(player) > 0.2")
    for position in (0, 7.123):  # wherever it is started
        listener.state(f"seek({position})")
        listener.press("Mixture")
        listener.wait("loudnessOf(player) > 0.2")
        listener.press("Stems")
        listener.wait("loudnessOf(player) < 1e-4")
        listener.press("Solo one")
        listener.wait("loudnessOf(player) > 0.2")
        listener.press("Solo one")


def test_a_song_that_is_over_stands_at_its_start_again(open_page, tmp_path):
    listener = Listener(open_page(write_page(tmp_path, tone_song(tmp_path, seconds=0.4))))
    listener.press("Play")
    listener.wait("player.output && player.state === 'paused'")
    assert listener.state("position") == 0
    assert listener.at.locator(".time").inner_text() == "0:00.0 / 0:00.4"


def test_a_loop_goes_on_past_the_end_until_it_is_switched_off(open_page, tmp_path):
    listener = Listener(open_page(write_page(tmp_path, tone_song(tmp_path, seconds=0.4))))
    listener.press("Loop")
    listener.press("Play")
    listener.wait("player.state === 'playing' && player.output.context.currentTime - player.startedAt > 1")
    listener.hears(MIXTURE_HZ)
    assert 0 <= listener.state("position") < 0.4
    listener.press("Loop")
    listener.wait("player.state === 'paused'")


def test_a_song_without_references_offers_its_stems(open_page, tmp_path):
    listener = Listener(open_page(write_page(tmp_path, tone_song(tmp_path, seconds=60.0, versions=("estimate",)))))
    assert listener.at.locator(".heard button").all_inner_texts() == ["Mixture", "Stems"]
    listener.press("Play")
    listener.press("Stems")
    listener.hears(*heard("estimate"))


def test_what_cannot_be_decoded_is_told_by_name_and_the_page_goes_on(open_page, tmp_path):
    broken, whole = (tone_song(tmp_path / name, name=name, seconds=60.0) for name in ("broken", "whole"))
    broken.stems[1].versions["reference"].write_bytes(b"no audio")
    page = open_page(write_page(tmp_path, broken, whole))
    first, second = Listener(page, 0), Listener(page, 1)
    first.press("Play")
    first.at.get_by_role("status").get_by_text("bass (reference) cannot be played").wait_for()
    assert first.state("state") == "paused"
    second.press("Play")
    second.hears(MIXTURE_HZ)


def test_flac_and_mp3_play_too(open_page, tmp_path):
    from sepcore.signal.audio_writer import write_audio

    paths = [tmp_path / name for name in ("mixture.mp3", "vocals.flac")]
    for path, hz in zip(paths, (MIXTURE_HZ, TONES_HZ["vocals", "estimate"]), strict=True):
        write_audio(path, tone(hz, 20.0), sample_rate=RATE)
    song = PlayerSong("Coded", 20.0, paths[0], [PlayerStem("vocals", {"estimate": paths[1]})])
    listener = Listener(open_page(write_page(tmp_path, song)))
    listener.press("Play")
    listener.hears(MIXTURE_HZ)
    listener.press("Stems")
    listener.hears(TONES_HZ["vocals", "estimate"])


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "\"' onfocus=alert(1) autofocus x='",
        "</script><img src=x onerror=alert(1)>",
        "曲 – $x_{&amp;",
    ],
)
def test_a_name_is_shown_as_it_is_and_runs_nothing(name, open_page, tmp_path):
    song = tone_song(tmp_path, seconds=1.0, stems=("vocals",))
    song = PlayerSong(name, 1.0, song.mixture, [PlayerStem(name, song.stems[0].versions)], note=name)
    listener = Listener(open_page(write_page(tmp_path, song)))
    assert listener.at.locator("h3").text_content() == name
    assert listener.at.locator(".stem .name").text_content() == name
    assert listener.at.get_by_role("button", name=f"Mute {name}", exact=True).count() == 1
    listener.press("Play")
    listener.wait("player.output")
