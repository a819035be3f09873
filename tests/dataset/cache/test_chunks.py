import dataclasses

import numpy as np
import pytest
import scipy.io.wavfile

from sepcore.dataset.cache.chunks import chunk_starts, compute_chunks
from sepcore.dataset.cache.quantisation import decode
from sepcore.errors import AudioDecodeError, DatasetError


def test_chunks_are_spread_evenly_half_a_second_from_the_ends():
    assert chunk_starts(31, chunk_duration_s=20, num_chunks=3) == [0.5, 5.5, 10.5]


def test_a_single_chunk_lies_in_the_middle():
    assert chunk_starts(30, chunk_duration_s=20, num_chunks=1) == [5]


@pytest.mark.parametrize("num_chunks", [1, 4])
def test_no_chunk_of_a_short_song_starts_before_it(num_chunks):
    assert min(chunk_starts(3, chunk_duration_s=20, num_chunks=num_chunks)) == 0


def test_a_chunk_holds_the_spectrograms_of_mixture_and_stems_at_its_place(config, write_song):
    row = write_song("song")
    chunk = compute_chunks(row, config, num_chunks=3)[1]
    assert chunk.start_s == 1.25
    assert [signal.codes.shape for signal in chunk.signals] == [(config.chunk_frames, 128, 2)] * 3
    # An independent transform of the third frame of the second stem.
    _, samples = scipy.io.wavfile.read(row.stems[1][1])
    start = 10_000 + 2 * config.hop_length
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    expected = np.abs(np.fft.rfft(samples[start : start + 512].T / 32768 * window))[:, :128].T
    restored = decode(chunk.signals[2].codes, chunk.signals[2].min_db, chunk.signals[2].max_db)[2]
    np.testing.assert_allclose(restored, expected, rtol=0.025)


def test_signals_are_cut_to_the_shortest(config, write_song):
    row = write_song("song", duration_s=2.0)
    short = write_song("short", duration_s=1.4)
    mixed = dataclasses.replace(row, stems=(row.stems[0], short.stems[1]))
    (chunk,) = compute_chunks(mixed, config, num_chunks=1)
    shortest = int(1 + ((1.4 - 0.25) * 8000 - 512) // 128)
    assert {len(signal.codes) for signal in chunk.signals} == {shortest}


def test_chunks_shorter_than_a_segment_are_dropped_and_the_others_keep_their_number(config, write_song):
    cut = write_song("cut", duration_s=2.5)
    chunks = compute_chunks(dataclasses.replace(write_song("song"), stems=cut.stems), config, num_chunks=3)
    assert [chunk.number for chunk in chunks] == [0, 1]


def test_a_song_shorter_than_a_segment_gives_none(config, write_song):
    assert compute_chunks(write_song("song", duration_s=0.9), config, num_chunks=2) == []


def test_a_duration_beyond_the_end_of_the_mixture_does_not_move_chunks_there(config, write_song):
    row = write_song("song")
    exaggerated = dataclasses.replace(row, duration_s=400.0)
    starts = [chunk.start_s for chunk in compute_chunks(exaggerated, config, num_chunks=3)]
    assert starts == [chunk.start_s for chunk in compute_chunks(row, config, num_chunks=3)]


def test_another_number_of_channels_is_refused_and_the_song_named(config, write_song):
    with pytest.raises(DatasetError, match=r"duet: .*mix\.wav has 1 channel\(s\), n_channels is 2"):
        compute_chunks(write_song("duet", num_channels=1), config, num_chunks=1)


def test_a_file_that_cannot_be_decoded_is_named(config, write_song):
    row = write_song("song")
    row.stems[0][1].write_bytes(b"no audio at all")
    with pytest.raises(AudioDecodeError, match=r"vocals\.wav"):
        compute_chunks(row, config, num_chunks=1)
