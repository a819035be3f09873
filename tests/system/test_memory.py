import psutil
import pytest

from sepcore.system.memory import free_bytes

MIB = 1 << 20


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def second(folder, limit="500", used="400", stat=""):
    """The files of a control group of the second version."""
    write(folder, memory__max=f"{limit}\n", memory__current=f"{used}\n", memory__stat=stat)


def first(folder, limit="500", used="400", stat=""):
    """The files of a control group of the first version."""
    names = {"memory__limit_in_bytes": f"{limit}\n", "memory__usage_in_bytes": f"{used}\n", "memory__stat": stat}
    write(folder / "memory", **names)


def of_machine():
    return pytest.approx(psutil.virtual_memory().available, abs=512 * MIB)


@pytest.mark.parametrize("group", [second, first])
def test_a_containers_limit_counts_where_it_is_below_the_machines_memory(tmp_path, group):
    group(tmp_path)
    assert free_bytes(tmp_path) == 100
    group(tmp_path, used="600")
    assert free_bytes(tmp_path) == 0
    group(tmp_path, limit=str(1 << 62))  # the first version's word for no limit is a number of that size
    assert free_bytes(tmp_path) == of_machine()


@pytest.mark.parametrize(
    ("group", "stat"),
    [
        (second, "anon 1\ninactive_file 30\nactive_file 5\nslab_reclaimable 2\nslab_unreclaimable 9\n"),
        (first, "inactive_file 1\nactive_file 1\ntotal_inactive_file 30\ntotal_active_file 7\ntotal_rss 9\n"),
    ],
)
def test_what_the_kernel_gives_back_when_memory_is_short_is_free(tmp_path, group, stat):
    group(tmp_path, stat=stat)
    assert free_bytes(tmp_path) == 137


@pytest.mark.parametrize("stat", [None, "inactive_file", "inactive_file many\n", "a b c\ninactive_file 7\n"])
def test_a_limit_holds_without_statistics_that_can_be_read(tmp_path, stat):
    second(tmp_path, stat=stat or "")
    if stat is None:
        (tmp_path / "memory.stat").unlink()
    assert free_bytes(tmp_path) in (100, 107)


def test_without_a_limit_the_machines_memory_is_free(tmp_path):
    assert free_bytes(tmp_path) == of_machine()
    second(tmp_path, limit="max")
    assert free_bytes(tmp_path) == of_machine()
    first(tmp_path)  # beside the other version's, the smaller counts
    assert free_bytes(tmp_path) == 100
