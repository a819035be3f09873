"""Songs of one tone a file, so that what is heard can be told from the sound alone."""

from pathlib import Path

import numpy as np

from sepcore.page.document import build_document, write_document
from sepcore.page.player import PLAYER_SCRIPTS, PlayerSong, PlayerStem
from sepcore.signal.audio_writer import write_audio

RATE = 8000
MIXTURE_HZ = 440
TONES_HZ = {
    ("vocals", "estimate"): 660,
    ("vocals", "reference"): 880,
    ("bass", "estimate"): 1320,
    ("bass", "reference"): 1760,
}


def tone(hz, seconds, level=0.2):
    wave = level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)
    return wave[:, None].astype(np.float32)


def write_wav(path, waveform):
    write_audio(path, waveform, sample_rate=RATE)
    return path


def tone_song(folder, *, name="A song", seconds=4.0, stems=("vocals", "bass"), versions=("estimate", "reference")):
    """A song whose mixture and stems are the tones above."""
    return PlayerSong(
        name,
        seconds,
        write_wav(folder / "mixture.wav", tone(MIXTURE_HZ, seconds)),
        [
            PlayerStem(
                stem,
                {
                    version: write_wav(folder / f"{stem}_{version}.wav", tone(TONES_HZ[stem, version], seconds))
                    for version in versions
                },
            )
            for stem in stems
        ],
    )


def document(template, **values):
    """A document of one of the templates beside this file."""
    return "".join(build_document(Path(__file__).parent, template, **{"title": "Songs", **values}))


def players(*songs, heading="h3", keys="player"):
    """A page of players: ``#player-0``, ``#player-1``, …"""
    return document("players.html", scripts=PLAYER_SCRIPTS, songs=songs, heading=heading, keys=keys)


def write_page(folder, *songs, **options):
    """Write a page of `players`."""
    write_document(folder / "page.html", iter([players(*songs, **options)]))
    return folder / "page.html"
