#!/usr/bin/env python3
"""How fast bin/import-streams and bin/read-stream are, on empty streams and on streams that hold ten years.

  python3 tests/bench/streams.py [--runs 3] [--channels N] [--files N] [--work DIR]

Prints the machine, then for 200 channels x 48 hourly minute-trend files, 50 channels x 288 and 200 x 72 ten-minute
second-trend files (or as many as are given): wall and CPU seconds, files a second, seconds a file, how many times
faster than the original importer (its figures are from another machine of two cores, see issue 4), the memory, and the
ratio of ten-year streams to empty ones; then what read-stream takes for 800 points over ten years of minute trend,
without gaps and with one every ten days, beyond what it takes for one point of a stream of two records, and whether
the points are right; and whether the targets are reached.  A target that is missed is told, and is no failure; a wrong
point is one.

Each channel has .mean, .rms, .min, .max and .n, as the trend frames have.  The frames lie in the page cache when a run
is timed, a run is timed from the shell, the runs take turns, and the middle one counts.  Each run has a folder of its
own, and none is removed before the last has ended: ext4 makes new files several times slower for minutes after others
were removed, which no night does.  The ten-year streams are sparse files: their length is true, and of what is in them
only the first record and the end, which is all that an import may look at, was ever written; the log names ten years
of files.  --work DIR is kept, and frames in it are used again.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

BENCH = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(BENCH))
sys.path.insert(0, os.path.join(ROOT, "lib"))
IMPORTER = os.path.join(ROOT, "bin", "import-streams")
READER = os.path.join(ROOT, "bin", "read-stream")
START = 1148000400
YEARS = 10 * 31557600


class Case(NamedTuple):
    """A kind of night: second trend or not, channels, files."""

    fine: bool
    channels: int
    files: int

    @property
    def duration(self):
        return 600 if self.fine else 3600

    @property
    def title(self):
        kind = "second-trend files of 10 min" if self.fine else "minute-trend files of 1 h"
        return f"{self.channels} channels x {self.files} {kind}"


CASES = (Case(False, 200, 48), Case(True, 50, 288), Case(True, 200, 72))
# What a file takes the original, in seconds, by second trend or not and channels.
ORIGINAL = {(False, 200): 0.15, (True, 200): 0.19, (False, 50): 0.06, (True, 50): 0.08}

# How many times as fast 200 channels of minute trend, and of second trend, are to be.
TARGETS = {False: 20, True: 12}


class Run(NamedTuple):
    """Wall and CPU seconds of a run, MB of its memory."""

    wall: float
    cpu: float
    peak: float


def name_of(number):
    return f"H0:PEM-BENCH_{number:04d}_SEISX"


def path_of(root, case, at):
    start = START + at * case.duration
    trend, letter = ("second-trend", "T") if case.fine else ("minute-trend", "M")
    name = f"H-{letter}-{start}-{case.duration}.gwf"
    return os.path.join(root, trend, "LHO", f"H-{letter}-{start // 1_000_000}", name), start


def make_frames(root, case):
    """Write the case's tree, one file more than is timed; a process of its own calls this, as it needs memory."""
    import numpy as np
    from framemake.gwf.write import Signal, write

    case = Case(*case)
    interval = 1 if case.fine else 60
    count = case.duration // interval
    chance = np.random.default_rng(1)
    for at in range(case.files + 1):
        path, start = path_of(root, case, at)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        signals = []
        for number in range(case.channels):
            mean = chance.normal(100, 5, count).astype("f4")
            values = {"mean": mean, "rms": mean + 1, "min": mean - 9, "max": mean + 9}
            for ending, data in values.items():
                signals.append(Signal(f"{name_of(number)}.{ending}", data, 1 / interval, "counts"))
            signals.append(Signal(f"{name_of(number)}.n", np.full(count, 256 * interval, "i4"), 1 / interval, "counts"))
        write(path, [(start, case.duration, signals)])


def make_streams(folder, case):
    """Streams of ten years that end where the case's files begin, as the original importer would leave them."""
    import numpy as np
    from framemake.streams import records

    case = Case(*case)
    interval = 1 if case.fine else 60
    total, end = YEARS // interval, 200
    dtype = records.record("float")
    tail = np.zeros(end, dtype)
    tail["valid"] = records.VALID
    tail["time"] = START - interval * np.arange(end, 0, -1)
    weight = 256 * interval
    tail["sum"] = 100.0 * weight * np.arange(total - end + 1, total + 1)
    tail["square"] = 1e4 * weight * np.arange(total - end + 1, total + 1)
    first = START - interval * total
    head = np.zeros(1, dtype)
    head["valid"], head["time"], head["sum"], head["square"] = records.VALID, first, 100.0 * weight, 1e4 * weight
    index = np.array([(0, first), (first, interval)], records.INDEX)
    os.makedirs(folder)
    for number in range(case.channels):
        path = os.path.join(folder, name_of(number))
        with open(path + records.BIN, "wb") as out:
            out.write(head.tobytes())
            out.seek((total - end) * dtype.itemsize)
            out.write(tail.tobytes())
        index.tofile(path + records.INDEX_BIN)
        with open(path + records.INFO, "w", encoding="ascii") as out:
            out.write(records.info_text(records.Info("float", 32, 0.0, 1.0, "")))
    with open(os.path.join(folder, "ligoimport.files"), "w", encoding="ascii") as log:
        letter = "T" if case.fine else "M"
        for start in range(START - YEARS // case.duration * case.duration, START, case.duration):
            log.write(f"H-{letter}-{start}-{case.duration}.gwf\n")


def measure(frames, streams):
    """Time one import; None, and a word on stderr, if it fails."""
    os.sync()  # what earlier runs wrote is not this one's work
    began = time.perf_counter()
    process = subprocess.Popen([IMPORTER, frames, streams], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    told = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        note(f"FAILED with {process.returncode}: {told.decode(errors='replace')}")
        return None
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def night(nights, case, tree, old):
    """One timed import of all files but the first, which begins the streams, or goes on with those of ten years.

    nights: the folder of the folders of all runs.
    """
    folder = tempfile.mkdtemp(dir=nights)
    streams, first = os.path.join(folder, "streams"), os.path.join(folder, "first")
    if old:
        run_apart("make_streams", streams, case)
    source, _ = path_of(tree, case, 0)
    target, _ = path_of(first, case, 0)
    os.makedirs(os.path.dirname(target))
    os.link(source, target)
    if not measure(first, streams):
        return None
    return measure(tree, streams)


def reads(folder, runs):
    """Tell how long read-stream takes for 800 points over ten years; raises ValueError if one is wrong."""
    from serve import POINTS, START, YEARS, Truth

    tiny, whole, gaps = (os.path.join(folder, name) for name in ("H0:PEM-A_SEISX", "H0:PEM-B_SEISX", "H0:PEM-C_SEISX"))
    Truth(0, span=2 * 60, block=2 * 60, lost=(0, 1)).write(tiny)
    truths = {whole: Truth(1, block=YEARS, lost=(0, 1)), gaps: Truth(2)}
    for path, truth in truths.items():
        truth.write(path)
    took = {path: [] for path in (tiny, whole, gaps)}
    for _ in range(5 * runs):
        for path, seconds in took.items():
            end, points = (START + 120, 1) if path == tiny else (START + YEARS, POINTS)
            command = [READER, path, "--mean", str(START), str(end), "--points", str(points), "--json"]
            began = time.perf_counter()
            told = subprocess.run(command, capture_output=True, check=True).stdout
            seconds.append(time.perf_counter() - began)
            series = {"series": [json.loads(told)]}
            if path in truths and not truths[path].is_right(series, os.path.basename(path), START, end):
                raise ValueError(f"read-stream gave a wrong point: {' '.join(command)}")
    print(f"\nread-stream, {POINTS} points over ten years of minute trend")
    start_up = statistics.median(took[tiny])
    print(f"  start-up, one point of two records: {1e3 * start_up:.0f} ms")
    for path, title in ((whole, "no gap"), (gaps, f"{len(truths[gaps].gaps) - 1} gaps")):
        more = statistics.median(took[path]) - start_up
        print(f"  beyond start-up, {title}: {1e3 * more:.0f} ms, target 50: {'reached' if more < 0.05 else 'MISSED'}")


def run_apart(function, folder, *arguments):
    """Call a function of this file in a process of its own: a child's peak counts what its parent has."""
    code = "import json, sys; sys.path.insert(0, sys.argv[1]); import streams\n"
    code += "getattr(streams, sys.argv[2])(sys.argv[3], *json.loads(sys.argv[4]))"
    subprocess.run([python(), "-c", code, BENCH, function, folder, json.dumps(arguments)], check=True)


def python():
    venv = os.environ.get("VENV", os.path.join(ROOT, ".venv"))
    return os.path.join(ROOT, venv, "bin", "python") if venv else "python3"


def middle(runs):
    runs = [run for run in runs if run]
    return Run(*map(statistics.median, zip(*runs, strict=True))) if runs else None


def note(text):
    print(text, file=sys.stderr, flush=True)


def first_of(path, start):
    with open(path, encoding="utf-8", errors="replace") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(start)), "unknown")


def tell(case, empty, old):
    print(f"\n{case.title}")
    original = ORIGINAL.get((case.fine, case.channels))
    for title, run in (("empty streams", empty), ("streams of ten years", old)):
        if run is None:
            print(f"  {title}: failed")
            continue
        each = run.wall / case.files
        times = f"{original / each:5.1f} times the original" if original else ""
        print(
            f"  {title:<21} {run.wall:6.2f} s wall {run.cpu:6.2f} s CPU {1 / each:7.1f} files a second  "
            f"{each:.4f} s a file  {times}  {run.peak:4.0f} MB"
        )
    if empty and old:
        ratio = old.wall / empty.wall
        print(f"  ten years to empty: {ratio:.2f}, target 1.1: {'reached' if ratio <= 1.1 else 'MISSED'}")
    if empty and original and case.channels >= 200:
        times = original / (empty.wall / case.files)
        target = TARGETS[case.fine]
        print(f"  original to ours: {times:.1f}, target {target}: {'reached' if times >= target else 'MISSED'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--channels", type=int, help="in place of 200, 50 and 200")
    parser.add_argument("--files", type=int, help="in place of 48, 288 and 72")
    parser.add_argument("--work", help="folder to keep the frames in")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(
        f"Machine: {first_of('/proc/cpuinfo', 'model name')}, {cores} cores, load {os.getloadavg()[0]:.2f} at the start"
    )
    with (
        tempfile.TemporaryDirectory(prefix="streams-") as scratch,
        tempfile.TemporaryDirectory(prefix="nights-", dir=args.work or scratch) as nights,
    ):
        work = args.work or scratch
        for full in CASES:
            case = full._replace(channels=args.channels or full.channels, files=args.files or full.files)
            tree = os.path.join(work, f"frames-{case.duration}-{case.channels}-{case.files}")
            if not os.path.exists(f"{tree}.made"):
                shutil.rmtree(tree, ignore_errors=True)
                note(f"writing frames: {case.title} ...")
                run_apart("make_frames", tree, case)
                open(f"{tree}.made", "w").close()
            runs = {False: [], True: []}
            for turn in range(args.runs):
                for old in (False, True):
                    note(f"{case.title}, run {turn + 1} of {args.runs}, {'ten years' if old else 'empty'}")
                    runs[old].append(night(nights, case, tree, old))
            tell(case, middle(runs[False]), middle(runs[True]))
        sys.stdout.flush()
        run_apart("reads", scratch, args.runs)


if __name__ == "__main__":
    main()
