#!/usr/bin/env python3
"""How long it takes to ask days: one channel over 588 days, 5 minutes of any, the channels of all, beside the peers.

  python3 tests/bench/days.py [--days 588] [--channels 1592] [--fast 20000] [--runs 5] [--quick] [--work DIR]

Prints the machine, then: one channel at 1 Hz over all days, by the reader, by a loop of h5py, by gwpy and through
link-range's file; 5 minutes of one day, and of two hours at --fast Hz; the channels of all days, at first and when
nothing is new; how all days stand; one-minute means of a channel as CSV; the report of all days, at first and with one
day file that is new, and how soon its first page is drawn by Chromium, where there is one.  The days are copies of one,
with their times moved; of most channels there is no sample in them, only what the day says of them.  Times are of one
process that has imported what it needs, files in the disk's cache; medians.  --work DIR is kept, and days in it are
used again.
"""

import argparse
import datetime
import importlib.util
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time

from day import DAY, ROOT, fresh, in_folder, note, say, table, tell_machine, versions

sys.path[:0] = [os.path.join(ROOT, "lib"), os.path.join(ROOT, "tests")]
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

import framemake  # noqa: E402
import h5py  # noqa: E402
import numpy as np  # noqa: E402
from framemake.days import find, status  # noqa: E402
from framemake.frames import synthetic  # noqa: E402
from framemake.report import kept as kept_of  # noqa: E402
from support import days as made  # noqa: E402

FAST_SECONDS = 7200
FIRST = datetime.date.fromisoformat(DAY)
# Targets, in seconds; one that is missed is told.
TARGETS = {
    "one channel of all days": 1.5, "5 minutes of a day": 0.02, "all channels, at first": 5,
    "all channels, nothing new": 1, "import framemake": 0.3, "the report, at first": 120, "the report, a new day": 2,
    "how all days stand": 1, "the report opened in Chromium": 1,
}  # fmt: skip


def write_days(out, count, channels):
    """Days of so many channels at 1 Hz, of which two have their samples."""
    window, maker = framemake.day_window(DAY), synthetic.Maker()
    signals = {}
    for number, name in enumerate(synthetic.names(channels)):
        samples = maker.samples(number, window.start, 86400).copy()
        if number % 50 == 1:
            samples[40000:41000] = np.nan
        signals[name] = samples, 1.0, "V"
    h5 = made.write_day(out, DAY, signals, frames=made.frames_of(window, 3600, absent=(5,)), written=2)
    for number in range(1, count):
        made.copy_day(h5, out, str(FIRST + datetime.timedelta(days=number)))


def write_fast(out, rate):
    """Two hours of noise: a whole day of it would fill the memory of a small machine."""
    start = framemake.day_window(DAY).start
    samples = np.random.default_rng(0).standard_normal(FAST_SECONDS * rate, dtype="f4")
    window = framemake.Window(start, start + FAST_SECONDS)
    made.write_day(out, DAY, {"V1:FAST": (samples, float(rate), "V")}, window=window)


def timed(call, runs):
    """(seconds of wall clock, of CPU with its children's) of a call: the median of each of some runs."""
    found = []
    for _ in range(runs):
        before, wall = cpu(), time.perf_counter()
        call()
        found.append((time.perf_counter() - wall, cpu() - before))
    return [statistics.median(each) for each in zip(*found, strict=True)]


def cpu():
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def ways(out, few, fast, work, names):
    """{what: a function that does it once} of all that is measured, in the order of the table."""
    files = [folder.h5 for folder in framemake.open_days(out).folders().values()]
    start = framemake.day_window(str(FIRST + datetime.timedelta(days=len(files) // 2))).start + 36000
    linked, kept = os.path.join(work, "range.h5"), os.path.join(out, find.KEPT)

    def loop():
        values = np.empty(len(files) * 86400, "f4")
        for number, path in enumerate(files):
            with h5py.File(path) as file:
                values[number * 86400 : (number + 1) * 86400] = file["channels"][names[0]][:]

    def by_gwpy(paths, name, *span):
        from gwpy.timeseries import TimeSeries

        for path in paths:
            TimeSeries.read(path, f"channels/{name}", *span, format="hdf5")

    def through_link():
        with h5py.File(linked) as file:
            file["channels"][names[0]][()]

    def anew():
        if os.path.exists(kept):
            os.unlink(kept)
        find.channels(framemake.open_days(out))

    def means():
        command = [os.path.join(ROOT, "bin/read-days"), out, names[0], "--every", "60", "--csv"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    def report():
        command = [os.path.join(ROOT, "bin/make-report"), out, os.path.join(work, "report")]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    def report_anew():
        shutil.rmtree(os.path.join(out, kept_of.FOLDER), ignore_errors=True)
        report()

    def report_of_a_new_day():
        os.utime(files[-1])
        report()

    def imported():
        subprocess.run([sys.executable, "-c", "import framemake"], check=True, env={"PYTHONPATH": f"{ROOT}/lib"})

    five = lambda folder, name, at: framemake.open_days(folder).read(name, at, at + 300).values  # noqa: E731
    first = framemake.day_window(DAY).start + 3600
    found = {
        "import framemake": imported,
        "one channel of all days": lambda: framemake.open_days(out).read(names[0]).values,
        "the same by a loop of h5py": loop,
        "the same by gwpy, a day after another": lambda: by_gwpy(files, names[0]),
    }
    # HDF5 reads NaN where there are more files than a process may open.
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] > len(files) + 100:
        subprocess.run(
            [os.path.join(ROOT, "bin/link-range"), few, "--out", linked], check=True, stdout=subprocess.DEVNULL
        )
        found["the same through link-range"] = through_link
    return {
        **found,
        "5 minutes of a day": lambda: five(out, names[0], start),
        "5 minutes of a fast channel": lambda: five(fast, "V1:FAST", first),
        "5 minutes of a fast channel by gwpy": lambda: by_gwpy(
            [folder.h5 for folder in framemake.open_days(fast).folders().values()], "V1:FAST", first, first + 300
        ),
        "all channels, at first": anew,
        "all channels, nothing new": lambda: find.channels(framemake.open_days(out)),
        "how all days stand": lambda: status.days_of(out),
        "one-minute means of all days as CSV": means,
        "the report, at first": report_anew,
        "the report, a new day": report_of_a_new_day,
    }


def opening(page, runs):
    """Seconds from the start to the map of a report, in a browser that has never been there; None without Chromium."""
    if not (shutil.which("chromium") and importlib.util.find_spec("playwright")):
        note("no Chromium, or no playwright: the report is not opened")
        return None
    from support import browser

    return statistics.median(browser.first_plot(f"file://{os.path.abspath(page)}") for _ in range(runs))


def bench(work, args):
    tell_machine(versions(), args)
    out = os.path.join(work, f"days-{args.days}-{args.channels}")
    few, fast = os.path.join(work, f"days-{args.days}-2"), os.path.join(work, f"fast-{args.fast}")
    writers = {
        out: lambda: write_days(out, args.days, args.channels),
        # link-range would take longer over all channels than all else here.
        few: lambda: write_days(few, args.days, 2),
        fast: lambda: write_fast(fast, args.fast),
    }
    for folder, write in writers.items():
        if not os.path.exists(f"{folder}.whole"):
            note(f"writing days in {folder} ...")
            fresh(folder)
            write()
            open(f"{folder}.whole", "w").close()
    rows = []
    for what, call in ways(out, few, fast, work, synthetic.names(2)).items():
        note(what)
        wall, used = timed(call, 1 if "first" in what or "gwpy" in what else args.runs)
        target = TARGETS.get(what)
        missed = "" if target is None else f"{target:g}" + (" missed" if wall > target else "")
        rows.append([what, f"{wall:.3f}", f"{used:.3f}", missed])
    opened = opening(os.path.join(work, "report", "index.html"), args.runs)
    if opened is not None:
        what, target = "the report opened in Chromium", TARGETS["the report opened in Chromium"]
        rows.append([what, f"{opened:.3f}", "", f"{target:g}" + (" missed" if opened > target else "")])
    say()
    table(["what", "wall s", "CPU s", "target s"], rows)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("days", 588), ("channels", 1592), ("fast", 20000), ("runs", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--work")
    parser.add_argument("--quick", action="store_true", help="few days and channels, for a look whether it runs")
    args = parser.parse_args()
    if args.quick:
        args.days, args.channels, args.fast, args.runs = 3, 20, 200, 1
    return args


if __name__ == "__main__":
    in_folder(bench, arguments())
