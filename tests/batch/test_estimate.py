from sepcore.batch.estimate import audio_seconds, dry_run, expected_rate
from sepcore.errors import AudioDecodeError
from sepcore.separation.stem_files.options import StemFileOptions
from tests.raised import raises


def test_the_length_to_separate_follows_from_offset_and_duration(write_song):
    song = write_song(seconds=10)
    assert audio_seconds(song, StemFileOptions()) == 10
    assert audio_seconds(song, StemFileOptions(offset_s=4)) == 6
    assert audio_seconds(song, StemFileOptions(offset_s=4, duration_s=5)) == 5
    assert audio_seconds(song, StemFileOptions(offset_s=8, duration_s=5)) == 2
    with raises(AudioDecodeError, "after 10 s", path=song, hint="offset"):
        audio_seconds(song, StemFileOptions(offset_s=10))


def test_a_dry_run_tells_what_would_be_separated_what_is_done_and_what_cannot_be_read(write_song, plan, tmp_path):
    new, done = write_song("new.wav", seconds=3), write_song("done.wav")
    text = tmp_path / "songs" / "text.mp3"
    text.write_text("not music")
    found = dry_run(plan(tmp_path / "songs"), {done}, StemFileOptions())
    assert found.to_separate == {new: (3, tmp_path / "out" / "new")}
    assert found.done == [done]
    assert [outcome.song for outcome in found.unreadable] == [text]
    assert "ffprobe" in found.unreadable[0].why
    assert (found.num_songs, found.audio_s) == (3, 3)
    assert not (tmp_path / "out").exists()


def test_more_stems_are_expected_to_take_longer():
    assert expected_rate(2) == 2 * expected_rate(4)
