from pathlib import Path

import pytest

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.songs import Recording, SourceSong
from sepcore.dataset.ingest.targets import LeftOut, check_instruments, song_parts
from sepcore.errors import ConfigError, DatasetError
from tests.raised import raises

MUSDB_SUMS = (("accompaniment", ("bass", "drums", "other")), ("linear_mixture", ("vocals", "bass", "drums", "other")))


def song(*names, name="A - B", sums=()):
    recordings = tuple((Path(file).stem, Recording(Path(file))) for file in names)
    return SourceSong(name, "", None, recordings, sums)


def config(*instruments, mix_name="mix", **mapping):
    return ModelConfig(instruments=instruments, mix_name=mix_name, instrument_mapping=mapping)


def parts(song, config):
    """Names of the recordings that each file is the sum of."""
    found = song_parts(song, config)
    assert not isinstance(found, LeftOut), found
    return {what: [recording.path.stem for recording in recordings] for what, recordings in found.parts.items()}


FIVE = ("mixture", "vocals", "drums", "bass", "piano", "other")


@pytest.mark.parametrize("name", ["mixture", "Mixture"])
def test_an_instrument_that_would_be_written_to_the_mixtures_file_is_refused(name):
    mapped = ModelConfig(instruments=("vocals", name), instrument_mapping={name: ("drums",)})
    with raises(ConfigError, name, hint="Rename"):
        song_parts(song(*FIVE), mapped)


def test_an_instrument_is_the_recording_of_its_name():
    found = parts(song(*FIVE), config("drums", "vocals"))
    assert found == {"mixture": ["mixture"], "drums": ["drums"], "vocals": ["vocals"]}


def test_the_mapping_adds_recordings_up_and_wins_over_the_name():
    found = parts(song(*FIVE), config("vocals", "drums", "bass", "other", other=("other", "piano")))
    assert found["other"] == ["other", "piano"]
    assert parts(song(*FIVE), config("vocals", "other", other=("piano",)))["other"] == ["piano"]


def test_of_the_mapped_recordings_a_song_needs_one():
    mapped = config("vocals", "other", other=("piano", "guitar", "strings"))
    assert parts(song("vocals", "guitar"), mapped)["other"] == ["guitar"]
    assert song_parts(song("vocals", "drums"), mapped).reason == "has no other (it has vocals, drums)"


def test_the_accompaniment_is_all_that_the_others_do_not_claim():
    assert parts(song(*FIVE), config("vocals", "accompaniment"))["accompaniment"] == ["drums", "bass", "piano", "other"]
    assert parts(song(*FIVE), config("drums", "accompaniment", "vocals"))["accompaniment"] == ["bass", "piano", "other"]
    mapped = config("vocals", "accompaniment", vocals=("lead", "choir"))
    assert parts(song("lead", "choir", "drums"), mapped)["accompaniment"] == ["drums"]


def test_an_accompaniment_of_its_own_is_used_as_it_is():
    assert parts(song("vocals", "accompaniment"), config("vocals", "accompaniment"))["accompaniment"] == [
        "accompaniment"
    ]


def test_targets_that_musdb_defines_can_be_asked_for():
    found = parts(song("mixture", "vocals", "drums", "bass", "other", sums=MUSDB_SUMS), config("linear_mixture"))
    assert found["linear_mixture"] == ["vocals", "bass", "drums", "other"]
    alone = song("mixture", "vocals", "drums", "bass", "other", sums=MUSDB_SUMS)
    assert parts(alone, config("accompaniment"))["accompaniment"] == ["bass", "drums", "other"]


def test_a_target_of_musdb_takes_nothing_from_the_accompaniment():
    whole = song("mixture", "vocals", "drums", "bass", "other", sums=MUSDB_SUMS)
    found = parts(whole, config("vocals", "accompaniment", "linear_mixture"))
    assert found["accompaniment"] == ["drums", "bass", "other"]


def test_the_mixtures_file_is_named_by_the_config_or_mixture_or_mix():
    assert parts(song("mix", "vocals"), config("vocals"))["mixture"] == ["mix"]
    assert parts(song("mixture", "vocals"), config("vocals"))["mixture"] == ["mixture"]
    assert parts(song("mix", "full", "vocals"), config("vocals", mix_name="full"))["mixture"] == ["full"]


def test_a_missing_mixture_is_the_sum_of_all_stems_those_too_that_no_instrument_takes():
    found = song_parts(song("vocals", "drums", "bass"), config("vocals", "drums"))
    assert found.makes_mixture
    assert [recording.path.stem for recording in found.parts["mixture"]] == ["vocals", "drums", "bass"]
    assert found.unused == ("bass",)


def test_a_made_mixture_does_not_hold_the_accompaniment_and_its_parts():
    found = parts(song("vocals", "accompaniment", "drums", "bass"), config("vocals", "drums"))
    assert found["mixture"] == ["vocals", "accompaniment"]


def test_case_makes_no_difference():
    assert parts(song("vocals"), config("Vocals"))["Vocals"] == ["vocals"]


def test_a_song_that_lacks_an_instrument_is_left_out_with_what_it_has_and_the_cure():
    left_out = song_parts(song(*FIVE), config("vocals", "violin", "flute"))
    assert (left_out.song, left_out.reason) == (
        "A - B",
        "has no violin, flute (it has vocals, drums, bass, piano, other)",
    )
    assert "a silent one" in left_out.cure
    assert "instrument_mapping" in left_out.cure
    assert song_parts(song("vocals"), config("vocals", "accompaniment")).reason.startswith("has no accompaniment")
    assert song_parts(song("drums"), config("vocals", "accompaniment")).reason.startswith("has no vocals (")


def test_a_recording_that_is_there_twice_is_left_out_only_where_it_is_needed():
    twice = song("vocals.wav", "drums.wav", "drums.flac", "mixture.wav")
    assert song_parts(twice, config("vocals", "drums")).reason == "has drums twice: drums.wav and drums.flac"
    assert parts(twice, config("vocals"))["vocals"] == ["vocals"]


def test_one_error_names_the_first_songs_that_lack_an_instrument():
    songs = [song("vocals", name=f"Song {number}") for number in range(5)]
    with raises(DatasetError, "Song 0", "Song 2", "no drums", "2 more", hint="instrument_mapping") as raised:
        check_instruments(songs, config("vocals", "drums"))
    assert "Song 3" not in raised.value.problem
    check_instruments(songs, config("vocals"))
