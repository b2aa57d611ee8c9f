"""framemake.files: a file is replaced whole or not at all, and what a killed writer left goes with the next."""

import os
import re

import pytest
from framemake import files
from support import processes
from support.commands import ROOT

WRITES = "import sys, os, signal; sys.path.insert(0, sys.argv[1]); from framemake import files\n"
WRITES += "with files.replacing(sys.argv[2]) as aside:\n  open(aside, 'w').write('half'); print('now', flush=True)\n"
KILLED, WAITS = WRITES + "  os.kill(os.getpid(), 9)\n", WRITES + "  sys.stdin.read()\n"


def writer(code, path, **options):
    return processes.start("python3", "-c", code, ROOT / "lib", path, **options)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a"
    files.write(path, "old")
    with pytest.raises(RuntimeError), files.replacing(path) as aside:
        with open(aside, "w") as out:
            out.write("new")
        raise RuntimeError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a"]
    files.write(path, "new")
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["a"]


def test_what_a_killed_writer_left_is_removed_by_the_next_in_the_folder_and_what_others_write_is_not(tmp_path):
    path = tmp_path / "a"
    assert writer(KILLED, path).wait() == -9
    (left,) = os.listdir(tmp_path)
    assert re.fullmatch(r"\.a\.[0-9a-f]{8}-\d+\.tmp", left)
    # Of another machine nothing is known; this process of ours is at work.
    other = tmp_path / re.sub(r"[0-9a-f]{8}-", "00000000-", left)
    other.touch()
    with writer(WAITS, path, stdin=-1) as at_work:
        assert at_work.stdout.readline() == b"now\n"
        assert left not in os.listdir(tmp_path)
        assert writer(WAITS, tmp_path / "b").wait() == 0
        assert sorted(os.listdir(tmp_path)) == sorted([other.name, f"{left.rpartition('-')[0]}-{at_work.pid}.tmp", "b"])
        at_work.stdin.close()
    assert path.read_text() == "half"
