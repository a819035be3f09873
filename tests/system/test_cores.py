import pytest

from sepcore.system.cores import num_cores, quota_cores


@pytest.mark.parametrize(
    ("content", "cores"),
    [
        ("max 100000\n", None),
        ("200000 100000\n", 2),
        ("150000 100000", 2),
        ("5000 100000", 1),
        ("", None),
        ("1 0", None),
    ],
)
def test_a_containers_quota_counts_in_whole_cores(content, cores, tmp_path):
    (tmp_path / "cpu.max").write_text(content)
    assert quota_cores(tmp_path / "cpu.max") == cores


def test_without_control_groups_there_is_no_quota_and_always_a_core(tmp_path):
    assert quota_cores(tmp_path / "nothing") is None
    assert num_cores() >= 1
