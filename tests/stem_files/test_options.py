import pytest

from sepcore.errors import ConfigError
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
        ({"codec": "mp3", "bitrate": "abc"}, "bitrate is 'abc'; expected 8k to 640k, e.g. 192k"),
        ({"codec": "opus", "bitrate": "1k"}, "bitrate is '1k'; expected 8k to 640k"),
        ({"codec": "m4a", "bitrate": "9999999k"}, "expected 8k to 640k"),
        ({"codec": "stem.mp4", "page": True}, "a page plays one file a stem"),
    ],
)
def test_what_cannot_be_written_is_refused_with_what_can(options, message):
    with pytest.raises(ConfigError, match=message):
        check_options(StemFileOptions(**options))


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
    ],
)
def test_stems_that_are_not_there_are_refused_with_those_that_are(instruments, options, message):
    with pytest.raises(ConfigError, match=message):
        chosen_stems(instruments, StemFileOptions(**options))


def test_a_stem_mp4_has_the_songs_name(tmp_path):
    names = chosen_stems(FOUR, StemFileOptions(codec="stem.mp4"))
    paths = stem_paths(tmp_path / "A - B.flac", tmp_path, names, codec="stem.mp4")
    assert paths == {"stems": tmp_path / "A - B.stem.mp4"}
