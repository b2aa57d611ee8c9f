"""A disk that is full: a small file system of its own, with as much room left on it as a test says."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

# The room that is taken at once: a page.
PAGE = 4096


class SmallDisk:
    """The root folder of a mounted tmpfs, and in it a file that takes all room but what is to be left."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._ballast = self.folder / ".ballast"

    def leave(self, pages):
        """Leave room for so many pages, and no more."""
        self.clear()
        free = os.statvfs(self.folder).f_bavail - pages
        with open(self._ballast, "wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, free * PAGE)

    def clear(self):
        """The fault is over: room for all."""
        self._ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder, size):
    """Mount a tmpfs at a folder that is made; the test is skipped where that is not allowed."""
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if subprocess.run(line, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", folder], check=False)
