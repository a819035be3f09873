"""Songs with stems of one tone each, and their pages."""

from sepcore.page.document import shown_name
from sepcore.separation.stem_files.page import song_page_path, write_song_page
from tests.page.songs import MIXTURE_HZ, TONES_HZ, tone, write_wav

STEMS_HZ = {stem: TONES_HZ[stem, "estimate"] for stem in ("vocals", "bass")}


def separated_song(folder, *, seconds=1.0, stems=STEMS_HZ):
    """A song's file and those of its stems."""
    song = write_wav(folder / "song.wav", tone(MIXTURE_HZ, seconds))
    return song, {stem: write_wav(folder / "stems" / f"{stem}.wav", tone(hz, seconds)) for stem, hz in stems.items()}


def write_pages(out, names, **options):
    """The page of each named song in ``out``, all of the same audio; gives what `write_folder_page` takes."""
    song, stems = separated_song(out.parent / "audio", **options)
    pages = []
    for name in names:
        path = song_page_path(out / f"{name}.mp3", (out / name).parent)
        write_song_page(path, song=song, stems=stems, title=shown_name(name.split("/")[-1]))
        pages.append((name, path.relative_to(out)))
    return pages
