import math

import numpy as np
import pytest

from sepcore.errors import ConfigError
from sepcore.signal.audio_reader import probe_audio
from sepcore.signal.audio_writer import write_audio
from sepcore.stem_files.names import chosen_stems, stem_paths
from sepcore.stem_files.options import STEM_CODECS, StemFileOptions, check_options

FOUR = ("vocals", "drums", "bass", "other")


@pytest.mark.parametrize("codec", STEM_CODECS)
def test_every_codec_can_be_written_as_by_default(codec):
    check_options(StemFileOptions(codec=codec))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codec": "aiff"}, "codec is 'aiff'; expected one of wav, .*opus.*, stem.mp4"),
        ({"codec": "mp3", "bits": 24}, "bits is 24, but mp3 has none"),
        ({"codec": "flac", "bits": 32}, "bits is 32; flac holds 16, 24. Take wav for 32"),
        ({"bits": 8}, "bits is 8; wav holds 16, 24, 32"),
        ({"clipping": "soft"}, "clipping is 'soft'; expected one of clamp, rescale, none"),
        ({"clipping": "none"}, "wav of 16 bits cannot hold samples beyond full scale; take rescale, or wav with 32"),
        ({"sample_rate": 4000}, "sample_rate is 4000; expected source, or 8000 to 192000 Hz"),
        ({"sample_rate": "sorce"}, "sample_rate is 'sorce'; expected source, or 8000 to 192000 Hz"),
        ({"sample_rate": 48000.0}, "sample_rate is 48000.0; expected source, or 8000 to 192000 Hz"),
        ({"codec": "mp3", "sample_rate": 96000}, "sample_rate is 96000; mp3 holds 8000, .*48000 Hz. Take flac"),
        ({"codec": "m4a", "sample_rate": 44101}, "sample_rate is 44101; m4a holds 8000, .*96000 Hz. Take flac"),
        ({"codec": "stem.mp4", "sample_rate": 192000}, "sample_rate is 192000; stem.mp4 holds"),
        ({"codec": "wma", "sample_rate": 88200}, "sample_rate is 88200; wma holds 48000 Hz at most. Take flac"),
        ({"offset_s": -1.0}, "offset_s is -1; expected 0 or more seconds"),
        ({"offset_s": math.nan}, "offset_s is nan; expected 0 or more"),
        ({"duration_s": 0.0}, "duration_s is 0; expected more than 0 seconds, or None for all"),
        ({"codec": "mp3", "bitrate": 128000}, "bitrate is 128000; expected 8k to 640k"),
        ({"codec": "mp3", "bitrate": "abc"}, "bitrate is 'abc'; expected 8k to 640k, e.g. 192k"),
        ({"codec": "opus", "bitrate": "1k"}, "bitrate is '1k'; expected 8k to 640k"),
        ({"codec": "m4a", "bitrate": "9999999k"}, "expected 8k to 640k"),
        ({"codec": "stem.mp4", "page": True}, "a page plays one file a stem"),
    ],
)
def test_what_cannot_be_written_is_refused_with_what_can(options, message):
    with pytest.raises(ConfigError, match=message):
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
    ("instruments", "options", "message"),
    [
        (FOUR, {"stems": ("vocals", "guitar")}, "stems: the model has no guitar; it has vocals, drums, bass, other"),
        (FOUR, {"residual": True}, "residual: all stems are written, which leave nothing; choose some of vocals"),
        (("vocals", "residual"), {"stems": ("vocals",), "residual": True}, "an instrument of that name"),
        (("vocals", "mixture"), {"codec": "stem.mp4"}, "codec is stem.mp4, whose first stream is the song as mixture"),
    ],
)
def test_stems_that_are_not_there_are_refused_with_those_that_are(instruments, options, message):
    with pytest.raises(ConfigError, match=message):
        chosen_stems(instruments, StemFileOptions(**options))


def test_a_stem_mp4_has_the_songs_name(tmp_path):
    names = chosen_stems(FOUR, StemFileOptions(codec="stem.mp4"))
    paths = stem_paths(tmp_path / "A - B.flac", tmp_path, names, codec="stem.mp4")
    assert paths == {"stems": tmp_path / "A - B.stem.mp4"}
