"""The folder command killed at any moment, or on a full disk, and run again."""

import random
import sys
import time

import pytest

from tests.faults.workplace import NUM_KILLS, PATIENCE_S, Job, Workplace, kill_group, said
from tests.models import write_model

pytestmark = pytest.mark.slow

SEPARATION = Job(("flows.separate_batch", "train", "-o", "out", "-p", "model"), ("out",))
# Three songs a folder: the mixture and its stems are songs like any other.
NUM_STEMS = 2


@pytest.fixture
def separation(make_workplace, tmp_path):
    """Songs and a small model; no Prefect server is known here."""
    workplace = make_workplace(tmp_path / "work")
    write_model(workplace.folder / "model")
    environment = {key: value for key, value in workplace.environment.items() if key != "PREFECT_API_URL"}
    workplace = Workplace(workplace.folder, environment)
    yield workplace
    workplace.stop_all()


def stems(workplace):
    return {name: content for name, content in workplace.contents(SEPARATION).items() if name.endswith(".wav")}


def test_killed_at_any_moment_and_run_again_every_song_is_there_as_if_nothing_had_been(
    separation, make_workplace, tmp_path, capsys
):
    separation.finish(SEPARATION)
    expected = stems(separation)
    for number in range(NUM_KILLS):
        rng = random.Random(number)
        folder = separation.folder / "out"
        folder.rename(tmp_path / f"before {number}")
        num_files = round((number + rng.random()) / NUM_KILLS * len(expected))
        process = separation.start(SEPARATION)
        while len(list(folder.rglob("*.wav"))) < num_files and process.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        kill_group(process)
        process.wait(PATIENCE_S)
        num_leftovers, at_kill = len(separation.leftovers()), separation.identities(SEPARATION)

        separation.finish(SEPARATION)

        assert stems(separation) == expected
        assert separation.leftovers() == []
        files = separation.identities(SEPARATION)
        again = {name for name, identity in at_kill.items() if name.endswith(".wav") and files[name] != identity}
        assert len(again) <= NUM_STEMS, "more than one song was made again"
        with capsys.disabled():
            sys.stdout.write(
                f"\nseparate_batch killed: {len(at_kill)} of {len(expected)} stems stood, {num_leftovers} were "
                f"half-written, {len(again)} were made again\n"
            )


def test_on_a_full_disk_it_ends_in_one_line_and_goes_on_with_more_room(separation, small_disk, remount):
    out = separation.folder / "out"
    small_disk(out, 2 << 20)
    result = separation.run(SEPARATION)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert "No space left on device" in said(result.stderr)[-1]
    assert separation.leftovers() == []
    standing = separation.identities(SEPARATION)
    assert standing
    remount(out, "size=64m")
    separation.finish(SEPARATION)
    files = separation.identities(SEPARATION)
    kept = [name for name, identity in standing.items() if name.endswith(".wav") and files[name] == identity]
    assert len(kept) == len([name for name in standing if name.endswith(".wav")])
