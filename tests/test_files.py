"""framemake.files: a file is replaced whole or not at all, and what a killed writer left goes with the next."""

import functools
import os
import re
import subprocess

import pytest
from framemake import files
from framemake.day import attempt, folder
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
    # Another machine may be at work, but not for an hour; this process of ours is.
    other, old = (tmp_path / re.sub(r"[0-9a-f]{8}-", of, left) for of in ("00000000-", "00000001-"))
    other.touch()
    old.touch()
    os.utime(old, (0, 0))
    with writer(WAITS, path, stdin=-1) as at_work:
        assert at_work.stdout.readline() == b"now\n"
        assert not {left, old.name} & set(os.listdir(tmp_path))
        assert writer(WAITS, tmp_path / "b").wait() == 0
        assert sorted(os.listdir(tmp_path)) == sorted([other.name, f"{left.rpartition('-')[0]}-{at_work.pid}.tmp", "b"])
        at_work.stdin.close()
    assert path.read_text() == "half"


def test_a_day_that_is_made_ready_loses_what_was_left_and_not_what_is_being_written(tmp_path):
    (tmp_path / "list").write_text("V1:A\n")
    day = folder.Folder.of(str(tmp_path), "V1trend", "2024-04-10")
    os.makedirs(day.work)
    assert writer(KILLED, day.h5).wait() == -9
    # Of a machine that was lost.
    (tmp_path / "V1trend-2024-04-10" / ".V1trend_20240410.h5.00000000-1.tmp").touch()
    with writer(WAITS, day.state_path, stdin=-1) as at_work:
        assert at_work.stdout.readline() == b"now\n"
        attempt.prepare(day, "2024-04-10", attempt.Request(str(tmp_path / "list"), "shape"), False, "now")
        left = sorted(name for _, _, names in os.walk(day.path) for name in names if name.endswith(".tmp"))
        assert len(left) == 1 and left[0].endswith(f"-{at_work.pid}.tmp")
        at_work.stdin.close()
    assert at_work.returncode == 0


def test_text_is_read_with_each_end_of_a_line_or_as_it_is(tmp_path):
    path = tmp_path / "list"
    path.write_bytes(b"a\r\nb\xff\rc\n")
    assert files.read_text(path) == "a\nb\udcff\nc\n"
    assert files.read_text(path, newline="") == "a\r\nb\udcff\rc\n"
    with pytest.raises(IsADirectoryError) as found:
        files.read_text(tmp_path)
    assert found.value.filename == str(tmp_path)


def test_a_writer_that_has_ended_is_gone_though_nobody_has_looked_after_it(tmp_path):
    ends, end = os.pipe()
    writer = os.fork()
    if not writer:
        os.close(end)
        os.read(ends, 1)
        os._exit(0)
    os.close(ends)
    try:
        left = files.beside(tmp_path / "out").replace(f"-{os.getpid()}.tmp", f"-{writer}.tmp")
        assert not files.is_left(left)
        os.close(end)
        os.waitid(os.P_PID, writer, os.WEXITED | os.WNOWAIT)
        assert files.is_left(left)
    finally:
        os.waitpid(writer, 0)


def test_a_sink_takes_what_is_longer_than_one_write(tmp_path):
    data = os.urandom(3 * files._WRITE + 5)
    with files.Sink(tmp_path / "x") as sink:
        assert sink.write(memoryview(data)) == len(data) == sink.tell()
        sink.seek(7)
        sink.write(data[: files._WRITE + 1])
        sink.seek(0)
        assert sink.read(9) == data[:7] + data[:2]
    assert (tmp_path / "x").read_bytes() == data[:7] + data[: files._WRITE + 1] + data[files._WRITE + 8 :]


def test_a_copy_is_taken_if_it_is_whole_once_its_writer_lets_go(tmp_path):
    path, copied, out = tmp_path / "day", tmp_path / "copied", tmp_path / "out"
    path.write_bytes(b"samples")
    with open(path, "rb") as source:
        taken = functools.partial(files.take, copied, source.fileno(), out)
        assert not taken()
        for odd in (b"samp", b"samples"):  # too short; of another time
            copied.write_bytes(odd)
            os.utime(copied, ns=(0, os.stat(path).st_mtime_ns + (odd == b"samples")))
            assert not taken() and not copied.exists() and not out.exists()
        writes = "exec 8>>copied; flock 8; echo; sleep 0.5; cp --preserve=timestamps day copied"
        with subprocess.Popen(["bash", "-c", writes], cwd=tmp_path, stdout=subprocess.PIPE) as writer:
            writer.stdout.readline()
            assert taken() and not copied.exists() and out.read_bytes() == b"samples"
