import subprocess
import sys

import pytest

from sepcore.dataset.cache.lock import lock_cache
from sepcore.errors import DatasetError


def test_a_folder_is_made_and_held_by_one(tmp_path):
    refused = pytest.raises(DatasetError, match="another process caches songs here")
    with lock_cache(tmp_path / "cache"), refused, lock_cache(tmp_path / "cache"):
        pytest.fail("two hold it")
    with lock_cache(tmp_path / "cache"):
        assert (tmp_path / "cache").is_dir()


def test_a_process_that_is_killed_lets_go(tmp_path):
    code = (
        "import os, pathlib, sys; from sepcore.dataset.cache.lock import lock_cache\n"
        "with lock_cache(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    with lock_cache(tmp_path):
        pass
