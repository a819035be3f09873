import threading

import pytest

from sepcore.errors import ConfigError
from sepcore.output_folder import check_writable


def test_many_who_look_at_once_do_not_see_each_other_and_leave_nothing(tmp_path):
    everyone, refused = threading.Barrier(8), []

    def look():
        everyone.wait()
        for _ in range(100):
            try:
                check_writable(tmp_path / "out", "-o")
            except ConfigError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []
    assert list((tmp_path / "out").iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_one_line_with_the_option(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^.*out: cannot be written to \([^\n]+\); choose another folder with -o\.$"):
        check_writable(tmp_path / "file" / "out", "-o")
