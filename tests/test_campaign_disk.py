"""A disk that is full, system calls that fail, a clock that is set back: one clear line, and the next run ends it all.

The cases are those of the kills, each on a small file system of its own, where room is left for so many pages: every
write that takes a page is in turn the first that fails.  $FRAMEMAKE_SEED chooses other pages and calls.
"""

import errno
import json
import os
import random
import re
import subprocess
import sys

import pytest
from support import processes
from support.commands import ROOT, long, needs
from support.disks import small_disk
from support.failing import READS, SHORT, WRITES, failing
from support.undisturbed import assert_same
from test_campaign_kill import Export, FastDay, LateDay, NewDay, Night, Range, Streams

# --- the writer of HDF5 ----------------------------------------------------------------------

# In a process of its own, and each trial in a child: what HDF5 keeps is seen as a process ends, by a trace or a crash.
_WRITE = """
import json, os, sys
sys.path[:0] = sys.argv[1:3]
import numpy as np
from framemake.day import layout
from support.disks import SmallDisk

disk, path, libver = SmallDisk(sys.argv[3]), sys.argv[3] + "/a.h5", json.loads(sys.argv[4])
libver = libver if isinstance(libver, str) else tuple(libver)
values = np.random.default_rng(1).random(1200, dtype="f4")

def write():
    with layout.writing(path, libver=libver) as file:
        group = file.create_group("channels")
        for number in range(6):
            dataset = layout.create(group, f"V1:X{number}", "float32", 3600, 1200, "lzf")
            layout.describe(dataset, f"V1:X{number}", 1.0, "V", 0.0)
            for at in range(0, 3600, 1200):
                layout.write_chunk(dataset, (at,), values, 1200, "lzf")
        group["statistics"] = np.zeros((6, 7, 20))
        group.attrs["what"] = "text" * 100

pages, trials = 0, []
while not os.path.exists(path):
    disk.leave(pages)
    read, told = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(told, 2)
        try:
            write()
        except OSError as error:
            os.write(2, f"{error.strerror}: {error.filename}\\n".encode())
        break
    os.close(told)
    with open(read) as source:
        trials.append([os.waitpid(child, 0)[1], source.read(), sorted(os.listdir(sys.argv[3]))])
    pages += 1
else:
    print(json.dumps(trials))
"""


@pytest.mark.slow
@pytest.mark.parametrize("libver", [["earliest", "v110"], long("latest")])
@pytest.mark.long
def test_a_file_for_which_there_is_no_room_at_any_page_raises_what_names_it(tmp_path, libver):
    with small_disk(tmp_path / "disk", "1m") as disk:
        given = [ROOT / "lib", ROOT / "tests", disk.folder, json.dumps(libver)]
        done = subprocess.run([sys.executable, "-c", _WRITE, *given], capture_output=True, text=True, check=True)
        trials = json.loads(done.stdout)
        told = f"No space left on device: {disk.folder / 'a.h5'}\n"
        assert trials == [[0, told, [".ballast"]]] * (len(trials) - 1) + [[0, "", [".ballast", "a.h5"]]]
        assert len(trials) > 15


# --- the commands ----------------------------------------------------------------------------


def filled(case, disk, pages):
    """Run a case with room for so many pages, and again with room for all; whether it had ended the first time."""
    case.begin()
    disk.leave(pages)
    process = processes.start(*case.words(), cwd=case.folder)
    said = process.communicate()[0].decode(errors="replace")
    told = f"{type(case).__name__}, room for {pages} pages, exit {process.returncode}:\n{said}"
    print(told)
    try:
        assert not re.search(r"Traceback|unexpected|Segmentation|core dumped|\berrno\b", said)
        assert process.returncode >= 0
        if process.returncode:
            assert re.search(r"(?m)^ *[a-z-]+: (?:.*: )?disk full", said) or "No space left on device" in said
        else:
            assert_same(case.result(), case.want)
        case.check()
        disk.clear()
        case.again()
        assert_same(case.result(), case.want)
    except AssertionError as error:
        raise AssertionError(f"{told}{error}") from error
    return process.returncode == 0


def taken(case, disk):
    """About how many pages a case takes."""
    case.begin()
    before = os.statvfs(disk.folder).f_bavail
    case.again()
    return before - os.statvfs(disk.folder).f_bavail


@pytest.mark.slow
@pytest.mark.parametrize(("case", "times"), [(NewDay, 2), (FastDay, 2), long(FastDay, 40), (Streams, 2), (Export, 1)])
def test_a_disk_that_is_full_at_some_page(tmp_path, case, times):
    chance = random.Random(f"{os.environ.get('FRAMEMAKE_SEED', '1')} {case.__name__}")
    with small_disk(tmp_path / "disk", "128m") as disk:
        one = case(disk.folder)
        pages = taken(one, disk)
        for _ in range(times):
            filled(one, disk, chance.randrange(pages))


@pytest.mark.long
@pytest.mark.parametrize("case", [NewDay, LateDay, Range, Streams, Export, Night])
def test_a_disk_that_is_full_at_every_page(tmp_path, case):
    with small_disk(tmp_path / "disk", "64m") as disk:
        one, pages, ended = case(disk.folder), 0, 0
        # What runs at once takes its pages in another order each time.
        while ended < 3:
            ended = ended + 1 if filled(one, disk, pages) else 0
            pages += 1
        assert pages > 10


# --- system calls that fail at random --------------------------------------------------------


def failed(case, folder, seed):
    """Run a case with calls that fail, and again without; whether it had ended well the first time."""
    chance = random.Random(seed)
    names = chance.choice((READS, WRITES, SHORT, WRITES))
    share = chance.choice((0.1, 0.03, 0.01, 0.003))
    number = 0 if names is SHORT else chance.choice((errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES))
    case.begin()
    env = failing(folder / "failing", names, share, number, chance.randrange(1 << 20))
    process = processes.start(*case.words(), cwd=case.folder, env=env)
    said = process.communicate()[0].decode(errors="replace")
    told = f"{type(case).__name__}, seed {seed!r}, {names} at {share} with {number}, exit {process.returncode}:\n{said}"
    print(told)
    try:
        assert not re.search(r"Traceback|Segmentation|core dumped", said)
        assert process.returncode >= 0
        assert process.returncode == 0 or re.search(r"(?m)^ *[a-z-]+: .*'.+'", said)
        if names is not READS:
            # What cannot be read may be left out, if that is told.
            case.check()
        if process.returncode == 0 and (names is not READS or not said):
            assert_same(case.result(), case.want)
        case.again()
        assert_same(case.result(), case.want)
    except AssertionError as error:
        raise AssertionError(f"{told}{error}") from error
    return process.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(("case", "times"), [(Streams, 2), (Export, 1), (NewDay, 1), (FastDay, 1)])
def test_system_calls_that_fail_at_random(tmp_path, case, times):
    one = case(tmp_path)
    for number in range(times):
        failed(one, tmp_path, f"{os.environ.get('FRAMEMAKE_SEED', '1')} {number}")


@pytest.mark.long
@pytest.mark.parametrize(
    ("case", "times"),
    [(Streams, 150), (Export, 100), (NewDay, 60), (FastDay, 40), (LateDay, 40), (Range, 25), (Night, 15)],
)
def test_system_calls_that_fail_often(tmp_path, case, times):
    one, ended = case(tmp_path), 0
    for number in range(times):
        ended += failed(one, tmp_path, f"{os.environ.get('FRAMEMAKE_SEED', '1')} often {number}")
    assert 0 < ended < times


# --- a clock that is set back ----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("case", [Streams, long(Range), long(Night)])
def test_a_clock_that_is_set_back_loses_nothing_and_rebuilds_nothing_for_ever(tmp_path, case):
    """The run is in the past of what was there before: an hour for what it finds, thirty days for what it made."""
    needs("faketime")
    one = case(tmp_path)
    for back in ("-1h", "-30d"):
        one.begin()
        for _ in range(2):
            process = processes.start("faketime", "-f", back, *one.words(), cwd=one.folder)
            said = process.communicate()[0].decode()
            assert process.returncode == 0 and "Traceback" not in said, said
            assert_same(one.result(), one.want)
            finished = one.untouched()
        one.again()
        assert_same(one.result(), one.want)
        # Nothing of it was made again, neither in the past nor now.
        assert one.untouched() == finished
