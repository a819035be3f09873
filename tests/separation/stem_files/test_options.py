import math

import numpy as np
import pytest

from sepcore.errors import ConfigError
from sepcore.separation.stem_files.names import chosen_stems, stem_paths
from sepcore.separation.stem_files.options import STEM_CODECS, StemFileOptions, check_options
from sepcore.signal.audio_reader import probe_audio
from sepcore.signal.audio_writer import write_audio
from tests.raised import raises

FOUR = ("vocals", "drums", "bass", "other")


@pytest.mark.parametrize("codec", STEM_CODECS)
def test_every_codec_can_be_written_as_by_default(codec):
    check_options(StemFileOptions(codec=codec))


@pytest.mark.parametrize(
    ("options", "named", "hint"),
    [
        ({"codec": "aiff"}, ["codec", "'aiff'"], ", ".join(STEM_CODECS)),
        ({"codec": "mp3", "bits": 24}, ["bits", 24, "mp3"], "bitrate"),
        ({"codec": "flac", "bits": 32}, ["bits", 32, "flac", "16, 24"], "wav"),
        ({"bits": 8}, ["bits", 8, "wav", "16, 24, 32"], "32"),
        ({"clipping": "soft"}, ["clipping", "'soft'"], "rescale, clamp, none"),
        ({"clipping": "none"}, ["clipping", "none", "wav of 16 bits"], "rescale, or wav with 32"),
        ({"sample_rate": 4000}, ["sample_rate", 4000], "source, or 8000 to 192000 Hz"),
        ({"sample_rate": "sorce"}, ["sample_rate", "'sorce'"], "source, or 8000 to 192000 Hz"),
        ({"sample_rate": 48000.0}, ["sample_rate", 48000.0], "source, or 8000 to 192000 Hz"),
        ({"codec": "mp3", "sample_rate": 96000}, ["sample_rate", 96000, "mp3", "8000, ", ", 48000 Hz"], "flac"),
        ({"codec": "m4a", "sample_rate": 44101}, ["sample_rate", 44101, "m4a", "8000, ", ", 96000 Hz"], "flac"),
        ({"codec": "stem.mp4", "sample_rate": 192000}, ["sample_rate", 192000, "stem.mp4", ", 96000 Hz"], "flac"),
        ({"codec": "wma", "sample_rate": 88200}, ["sample_rate", 88200, "wma", "48000 Hz at most"], "flac"),
        ({"offset_s": -1.0}, ["offset_s", -1], "0 or more seconds"),
        ({"offset_s": math.nan}, ["offset_s", "nan"], "0 or more seconds"),
        ({"duration_s": 0.0}, ["duration_s", 0], "more than 0 seconds, or None"),
        ({"codec": "mp3", "bitrate": 128000}, ["bitrate", 128000], "8k to 640k"),
        ({"codec": "mp3", "bitrate": "abc"}, ["bitrate", "'abc'"], "8k to 640k, e.g. 192k"),
        ({"codec": "opus", "bitrate": "1k"}, ["bitrate", "'1k'"], "8k to 640k"),
        ({"codec": "m4a", "bitrate": "9999999k"}, ["bitrate", "'9999999k'"], "8k to 640k"),
        ({"codec": "stem.mp4", "page": True}, ["page", "stem.mp4"], "m4a"),
    ],
)
def test_what_cannot_be_written_is_refused_with_what_can(options, named, hint):
    with raises(ConfigError, *named, hint=hint):
        check_options(StemFileOptions(**options))


@pytest.mark.parametrize(
    ("codec", "rate"),
    [("mp3", 8000), ("mp3", 11025), ("mp3", 48000), ("m4a", 8000), ("m4a", 64000), ("m4a", 96000), ("wma", 48000),
     ("ogg", 192000), ("flac", 192000)],
)  # fmt: skip
def test_a_rate_that_is_taken_is_the_one_of_the_file(codec, rate, tmp_path):
    check_options(StemFileOptions(codec=codec, sample_rate=rate))
    path = tmp_path / f"stem.{codec}"
    write_audio(path, np.zeros((rate // 10, 2), np.float32), sample_rate=rate)
    assert probe_audio(path).sample_rate == rate


def test_floats_and_lossy_codecs_may_leave_what_lies_beyond_full_scale():
    check_options(StemFileOptions(bits=32, clipping="none"))
    check_options(StemFileOptions(codec="mp3", clipping="none"))


def test_stems_are_chosen_in_the_models_order_with_the_residual_behind():
    assert chosen_stems(FOUR, StemFileOptions()) == FOUR
    wanted = StemFileOptions(stems=("bass", "vocals"), residual=True)
    assert chosen_stems(FOUR, wanted) == ("vocals", "bass", "residual")


@pytest.mark.parametrize(
    ("instruments", "options", "named", "hint"),
    [
        (FOUR, {"stems": ("vocals", "guitar")}, ["stems", "no guitar"], "vocals, drums, bass, other"),
        (FOUR, {"residual": True}, ["residual", "all stems"], "vocals, drums, bass, other"),
        (("vocals", "residual"), {"stems": ("vocals",), "residual": True}, ["residual"], "stems residual"),
        (("vocals", "mixture"), {"codec": "stem.mp4"}, ["codec", "stem.mp4", "mixture"], "m4a"),
    ],
)
def test_stems_that_are_not_there_are_refused_with_those_that_are(instruments, options, named, hint):
    with raises(ConfigError, *named, hint=hint):
        chosen_stems(instruments, StemFileOptions(**options))


def test_a_stem_mp4_has_the_songs_name(tmp_path):
    names = chosen_stems(FOUR, StemFileOptions(codec="stem.mp4"))
    paths = stem_paths(tmp_path / "A - B.flac", tmp_path, names, codec="stem.mp4")
    assert paths == {"stems": tmp_path / "A - B.stem.mp4"}
