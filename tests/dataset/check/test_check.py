import errno
import io
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.check import check
from sepcore.dataset.check.check import check_manifest, measure_in_threads, require_usable
from sepcore.dataset.check.measure import measure_song
from sepcore.dataset.check.report import report_path
from sepcore.dataset.check.report_file import journal_path
from sepcore.dataset.manifest import save_manifest
from sepcore.errors import DatasetError
from sepcore.system.os_errors import DISK_FULL, fix_for
from tests.dataset.check.conftest import RATE, noise
from tests.disk import room_for
from tests.raised import raises


@pytest.fixture
def csv(tmp_path):
    return tmp_path / "train.csv"


@pytest.fixture
def song(make_song):
    """``song(name)`` writes a song that is right."""

    def write(name, seconds=2.0):
        vocals, drums = (noise([*f"{name} {stem}".encode()], seconds=seconds) for stem in ("vocals", "drums"))
        return make_song(vocals + drums, vocals, drums, name=name)

    return write


@contextmanager
def cannot_write_to(folder, numbers):
    """The block ends with an error that says why the report cannot go there, and what helps."""
    with raises(DatasetError, path=folder, hint="--report") as raised:
        yield
    error = raised.value
    assert error.errno in numbers
    assert os.strerror(error.errno) in error.problem
    assert fix_for(OSError(error.errno, "")) in error.hint


class Measuring:
    """Measures songs one after the other and remembers which."""

    def __init__(self, *, fail_at=None):
        self.names = []
        self._fail_at = fail_at

    def __call__(self, rows):
        for row in rows:
            if row.name == self._fail_at:
                raise KeyboardInterrupt
            self.names.append(row.name)
            yield row, measure_song(row, mix_name="mix")


@pytest.fixture
def checked(csv, config):
    """Check the rows (or, without any, the CSV as it is); gives the report and the songs that were measured."""

    def check(*rows, **options):
        if rows:
            save_manifest(csv, rows, config)
        measuring = Measuring(fail_at=options.pop("fail_at", None))
        report = check_manifest(csv, options.pop("config", config), measure_all=measuring, **options)
        return report, measuring.names

    return check


def findings_of(report):
    return [(found.number, found.finding.severity, found.finding.reason) for found in report.findings()]


def test_all_rows_are_measured_and_judged(checked, song, make_song, csv):
    report, measured = checked(song("a"), make_song(noise(1), noise(2), np.full((2 * RATE, 2), np.nan), name="b"))
    assert measured == ["a", "b"]
    assert [(checked_song.number, checked_song.usable) for checked_song in report.songs] == [(1, True), (2, False)]
    assert [checked_song.number for checked_song in report.usable] == [1]
    assert (report.csv, report.path) == (csv, report_path(csv))


def test_results_may_come_in_any_order(csv, config, song):
    save_manifest(csv, [song("a"), song("b", seconds=3), song("c")], config)

    def backwards(rows):
        return reversed([(row, measure_song(row, mix_name="mix")) for row in rows])

    report = check_manifest(csv, config, measure_all=backwards)
    assert [(checked_song.number, checked_song.row.name) for checked_song in report.songs] == [
        (1, "a"), (2, "b"), (3, "c"),
    ]  # fmt: skip
    assert [checked_song.files[0].duration_s for checked_song in report.songs] == [2, 3, 2]


def test_rows_that_lead_to_no_files_are_told_beside_the_songs(checked, song, csv):
    checked(song("a"))
    csv.write_text(csv.read_text() + "gone.wav,gone.wav,,soon\n")
    report, _ = checked()
    assert report.num_rows == 2
    assert [(number, severity) for number, severity, _ in findings_of(report)] == [(2, "left out")] * 4


def test_nothing_is_decoded_twice(checked, song):
    first, measured = checked(song("a"), song("b"))
    assert measured == ["a", "b"]
    second, measured = checked()
    assert measured == []
    assert second == first


def test_what_was_measured_is_used_whatever_the_order_the_names_and_the_config(checked, song, csv, config):
    rows = [song("a"), song("b"), song("c")]
    checked(*rows)
    other = ModelConfig(**{**config.model_dump(), "mix_name": "mixture", "instruments": ("drums", "voice")})
    renamed = [replace(row, stems=(row.stems[1], ("voice", row.stems[0][1]))) for row in reversed(rows)]
    save_manifest(csv, renamed, other)
    report, measured = checked(config=other)
    assert measured == []
    assert [file.signal for file in report.songs[0].files] == ["mixture", "drums", "voice"]
    assert [Path(file.path).name for file in report.songs[0].files] == ["mix.wav", "drums.wav", "vocals.wav"]


@pytest.mark.parametrize("change", ["touched", "rewritten", "renamed away and back"])
def test_only_a_song_one_of_whose_files_has_changed_is_measured_again(checked, song, change):
    rows = [song("a"), song("b"), song("c")]
    checked(*rows)
    stem = rows[1].files[2]
    if change == "touched":
        stem.touch()
    elif change == "rewritten":
        soundfile.write(stem, noise(77), RATE)
    else:
        stem.rename(stem.with_suffix(".x"))
        stem.with_suffix(".x").rename(stem)
    assert checked()[1] == ["b"]


def test_a_file_that_could_not_be_read_is_tried_again(checked, song):
    row = song("a")
    good = row.mixture.read_bytes()
    row.mixture.write_bytes(b"")
    assert not checked(row)[0].usable
    report, measured = checked()
    assert (report.usable, measured) == ((), ["a"])
    row.mixture.write_bytes(good)
    assert checked()[0].usable


def test_an_interrupted_check_goes_on_where_it_was(checked, song, csv):
    rows = [song("a"), song("b"), song("c")]
    with pytest.raises(KeyboardInterrupt):
        checked(*rows, fail_at="c")
    assert not report_path(csv).exists()
    assert journal_path(report_path(csv)).exists()
    report, measured = checked()
    assert measured == ["c"]
    assert len(report.usable) == 3
    assert not journal_path(report_path(csv)).exists()


def test_a_line_that_was_not_finished_costs_one_song(checked, song, csv):
    rows = [song("a"), song("b"), song("c"), song("d")]
    with pytest.raises(KeyboardInterrupt):
        checked(*rows, fail_at="c")
    journal = journal_path(report_path(csv))
    journal.write_bytes(journal.read_bytes()[:-20])
    with pytest.raises(KeyboardInterrupt):
        checked(fail_at="d")
    assert checked()[1] == ["d"]


def test_measures_of_another_version_are_not_used(checked, song, csv):
    with pytest.raises(KeyboardInterrupt):
        checked(song("a"), song("b"), fail_at="b")
    journal = journal_path(report_path(csv))
    _, *rest = json.loads(journal.read_text())
    journal.write_text(json.dumps([0, *rest]))
    assert checked()[1] == ["a", "b"]


def test_an_interruption_before_the_first_song_leaves_nothing(checked, song, tmp_path):
    row = song("a")
    with pytest.raises(KeyboardInterrupt):
        checked(row, fail_at="a")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "train.csv"}


KILLED = """
import os, sys
from pathlib import Path
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.check.check import check_manifest
from sepcore.dataset.check.measure import measure_song

def measure_all(rows):
    for row in rows:
        if row.name == "song7":
            os._exit(9)  # nothing is cleared up, as after kill -9
        yield row, measure_song(row, mix_name="mix")

config = ModelConfig.model_validate_json(Path(sys.argv[2]).read_text())
check_manifest(Path(sys.argv[1]), config, measure_all=measure_all)
"""


def test_a_killed_check_keeps_every_song_that_it_has_measured(csv, tmp_path, config, song, checked):
    rows = [song(f"song{number}") for number in range(10)]
    save_manifest(csv, rows, config)
    (tmp_path / "config.json").write_text(config.to_json())
    killed = subprocess.run([sys.executable, "-c", KILLED, csv, tmp_path / "config.json"], check=False)
    assert killed.returncode == 9
    report, measured = checked()
    assert measured == ["song7", "song8", "song9"]
    uninterrupted = check_manifest(csv, config, report=tmp_path / "other.parquet")
    assert uninterrupted.songs == report.songs
    assert pd.read_parquet(report.path).equals(pd.read_parquet(uninterrupted.path))


def test_the_report_has_a_row_for_each_audio_file(checked, song, make_song, csv):
    good, short = song("good"), make_song(noise(1), noise(2), noise(3, seconds=0.5), name="short", duration_s=9)
    checked(good, short)
    csv.write_text(csv.read_text() + "gone.wav,gone.wav,gone.wav,1\n")
    report, _ = checked()
    table = pd.read_parquet(report.path)
    assert list(table["row"]) == [1, 1, 1, 2, 2, 2, 3]
    assert list(table["song"][:6]) == ["good"] * 3 + ["short"] * 3
    assert list(table["signal"][:6]) == ["mix", "vocals", "drums"] * 2
    assert list(table["usable"]) == [True] * 3 + [False] * 4
    assert list(table["path"][:3]) == [str(path) for path in good.files]
    assert list(table["duration_s"][3:6]) == [2, 2, 0.5]
    assert list(table["csv_duration_s"][3:6]) == [9, 9, 9]
    assert list(table["length_difference_s"][3:6]) == [0, 0, -1.5]
    assert set(table["sample_rate"][:6]) == {RATE}
    assert set(table["channels"][:6]) == {2}
    assert list(table["residual_db"][:3]) == [-180] * 3
    assert [len(text) for text in table["sha256"][:6]] == [64] * 6
    assert list(table["size"][:3]) == [path.stat().st_size for path in good.files]
    assert [len(findings) for findings in table["findings"]] == [0, 0, 0, 4, 4, 4, 3]
    assert table["findings"][6][0].startswith("left out: mix_path: no file ")
    assert {"peak", "rms_db", "silence_share", "nan", "clipped", "audio_hash", "mtime_ns", "ctime_ns"} <= set(table)


def test_a_report_that_says_the_same_already_is_not_written(checked, song):
    report, _ = checked(song("a"))
    before = report.path.stat().st_mtime_ns
    checked()
    assert report.path.stat().st_mtime_ns == before


def test_songs_that_left_the_csv_leave_the_report(checked, song, csv):
    rows = [song("a"), song("b")]
    checked(*rows)
    report, measured = checked(rows[1])
    assert measured == []
    assert set(pd.read_parquet(report.path)["song"]) == {"b"}


def test_the_report_goes_where_it_is_told(checked, song, tmp_path):
    elsewhere = tmp_path / "new" / "12:30 folder" / "r.parquet"
    report, _ = checked(song("a"), report=elsewhere)
    assert report.path == elsewhere
    assert pd.read_parquet(report.path)["row"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("content", [b"mix_path,duration\n", b""])
def test_a_file_that_is_no_report_is_not_overwritten(checked, song, tmp_path, content):
    other = tmp_path / "other.csv"
    other.write_bytes(content)
    with raises(DatasetError, path=other, hint="--report"):
        checked(song("a"), report=other)
    assert other.read_bytes() == content


def test_another_parquet_file_is_not_overwritten(checked, song, tmp_path):
    other = tmp_path / "frames.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(other)
    before = other.read_bytes()
    with raises(DatasetError, path=other, hint="--report"):
        checked(song("a"), report=other)
    assert other.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_measured(checked, song, tmp_path):
    (tmp_path / "file").touch()
    with cannot_write_to(tmp_path / "file", {errno.EEXIST}):
        checked(song("a"), report=tmp_path / "file" / "report.parquet")


def test_a_full_disk_is_told_and_what_was_measured_is_kept(checked, song, csv, config):
    rows = [song("a"), song("b"), song("c")]
    save_manifest(csv, rows, config)
    with room_for(3000), cannot_write_to(csv.parent, DISK_FULL):
        checked()
    assert checked()[1] == ["b", "c"]


def test_a_report_that_finds_no_room_leaves_the_one_before(checked, song, csv):
    report, _ = checked(song("a"))
    before = report.path.read_bytes()
    csv.write_text(csv.read_text() + "gone.wav,gone.wav,gone.wav,1\n")
    with room_for(3000), cannot_write_to(csv.parent, DISK_FULL):
        checked()
    assert report.path.read_bytes() == before
    assert sorted(path.name for path in csv.parent.iterdir()) == ["a", "train.check.parquet", "train.csv"]


def test_a_report_in_a_folder_with_a_name_that_is_no_unicode_is_written_and_used(tmp_path, config, song, csv):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    save_manifest(csv, [song("a")], config)
    (tmp_path / "a").rename(folder)
    (folder / "train.csv").write_text(csv.read_text().replace("a/", ""))
    report = check_manifest(folder / "train.csv", config)
    assert len(report.usable) == 1
    table = pd.read_parquet(io.BytesIO(report.path.read_bytes()))
    assert table["path"][0].endswith("caf?/mix.wav")


def test_the_same_mixture_twice_is_a_warning_that_names_the_first_row(checked, song, make_song):
    vocals, drums = noise(1), noise(2)
    again = make_song(vocals + drums, drums, vocals, name="again")
    soundfile.write(again.mixture, vocals + drums, RATE, subtype="PCM_16")
    report, _ = checked(make_song(vocals + drums, vocals, drums, name="first"), song("other"), again)
    assert findings_of(report) == [(3, "warning", "the mixture is the same audio as in row 1")]


def test_silent_and_left_out_mixtures_are_no_repeats(checked, make_song):
    silence, short = np.zeros((2 * RATE, 2), np.float32), noise(1, seconds=0.2)
    rows = [make_song(silence, silence, silence, name=name) for name in "ab"]
    rows += [make_song(short, short, short, name=name) for name in "cd"]
    report, _ = checked(*rows)
    assert not any("same audio as in" in reason for _, _, reason in findings_of(report))


def test_a_song_of_two_manifests_is_a_warning_in_the_second(checked, song, config, tmp_path):
    shared = song("shared")
    train, _ = checked(song("a"), shared)
    save_manifest(tmp_path / "validation.csv", [shared, song("b")], config)
    validation = check_manifest(tmp_path / "validation.csv", config, beside=[train])
    assert validation.summary_lines()[1].startswith("  songs that another CSV has, too: 1 (row 1: ")
    assert findings_of(validation) == [(1, "warning", f"the mixture is the same audio as in row 2 of {train.csv}")]


def test_a_manifest_without_a_usable_row_is_refused_with_the_reasons_the_most_frequent_first(
    csv, config, song, make_song
):
    rows = [make_song(noise(1), noise(2), noise(3, seconds=0.5), name=f"short{n}") for n in range(3)]
    rows.append(make_song(noise(1), noise(2), noise(3, channels=1), name="mono"))
    save_manifest(csv, rows, config)
    with pytest.raises(DatasetError) as error:
        require_usable(check_manifest(csv, config))
    assert str(error.value) == (
        f"{csv}: none of its 4 rows can be used: row 1: drums is 0.50 s long: 28 STFT frames, T needs 64 (and 2 more "
        "like it); row 4: drums: 1 channel(s), n_channels is 2. Take a recording of 1.07 s or more, or lower T in the "
        "config. Convert the song to 2 channel(s), or set n_channels: training takes no other."
    )
    assert len(pd.read_parquet(report_path(csv))) == 12
    assert (
        len(check_manifest(csv, config, for_training=False).usable) == 1
    )  # scoring refuses those whose drums are of another length


def test_a_manifest_without_rows_is_refused(csv, config):
    save_manifest(csv, [], config)
    with raises(DatasetError, "no songs", path=csv, hint="header"):
        require_usable(check_manifest(csv, config))


def test_a_disk_that_is_not_there_costs_no_measures(checked, song, tmp_path, csv, config):
    checked(song("a"), song("b"))
    for name in "ab":
        (tmp_path / name).rename(tmp_path / f"{name}.away")
    with raises(DatasetError, "2 rows", "row 1", "mix_path", tmp_path / "a" / "mix.wav", "1 more", path=csv):
        require_usable(check_manifest(csv, config))
    for name in "ab":
        (tmp_path / f"{name}.away").rename(tmp_path / name)
    assert checked()[1] == []


def test_the_summary_names_the_rows_that_are_left_out_and_counts_many(checked, song, csv):
    checked(song("a"))
    csv.write_text(csv.read_text() + "gone.wav,gone.wav,gone.wav,1\n" * 5)
    report, _ = checked()
    first, second, *rest = report.summary_lines()
    assert first == f"{csv}: 6 rows, 1 usable, 5 left out, 0.00 h of audio; report: {report.path}"
    assert second.startswith("  row 2 is left out: mix_path: no file ")
    assert (len(rest), rest[-1]) == (10, "  and 5 more")


def test_threads_measure_all_songs_and_only_a_few_at_a_time(song, monkeypatch):
    rows = [song(f"song{number}", seconds=1.1) for number in range(20)]
    taken, at_once, most = [], 0, 0
    lock = threading.Lock()

    def measure(row, *, mix_name):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        measures = measure_song(row, mix_name=mix_name)
        with lock:
            at_once -= 1
        return measures

    def remembered():
        for row in rows:
            taken.append(row)
            yield row

    monkeypatch.setattr(check, "measure_song", measure)
    results = measure_in_threads(remembered(), mix_name="mix", num_threads=2)
    names = [next(results)[0].name]
    assert len(taken) <= 4
    names += [row.name for row, _ in results]
    assert sorted(names) == sorted(row.name for row in rows)
    assert most <= 2


def test_an_interrupted_measuring_leaves_no_thread(song):
    rows = [song(f"song{number}") for number in range(10)]
    before = threading.active_count()
    results = measure_in_threads(rows, mix_name="mix", num_threads=2)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_hundreds_of_rows_are_checked_in_seconds_and_known_in_less(csv, config, song, tmp_path):
    row = song("song", seconds=1.5)
    rows = []
    for number in range(300):
        (tmp_path / "copies" / str(number)).mkdir(parents=True)
        files = [tmp_path / "copies" / str(number) / path.name for path in row.files]
        for path, copy in zip(row.files, files, strict=True):
            copy.hardlink_to(path)
        mixture, vocals, drums = files
        rows.append(replace(row, mixture=mixture, stems=(("vocals", vocals), ("drums", drums))))
    save_manifest(csv, rows, config)
    report = check_manifest(csv, config)
    assert (len(report.usable), len(findings_of(report))) == (300, 299)
    assert check_manifest(csv, config, measure_all=lambda rows: pytest.fail("measured again")) == report
