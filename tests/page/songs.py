"""Songs of one tone a file, so that what is heard can be told from the sound alone."""

import numpy as np

from sepcore.page.document import build_document
from sepcore.page.player import PLAYER_SCRIPTS, PlayerSong, PlayerStem, build_player
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


def write_page(folder, *songs, **options):
    """A page of players: ``#player-0``, ``#player-1``, …; options as of `build_player`."""
    players = "\n".join(build_player(song, anchor=f"player-{number}", **options) for number, song in enumerate(songs))
    path = folder / "page.html"
    path.write_text(build_document("Songs", players, scripts=PLAYER_SCRIPTS), "utf-8")
    return path
