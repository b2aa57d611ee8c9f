#!/usr/bin/env python3
"""How long a day takes: this project, a floor, the bytes, gwpy and a loop of gwdama, on the same frames, in one run.

  python3 tests/bench/day.py [--frames 100,3600,86400] [--channels 1000] [--many 20000] [--raw 24] [--runs 3] [--quick]
                             [--against CHECKOUT] [--work DIR]

Prints the machine, then for each length of frame a table: wall and CPU seconds, the memory of the largest
process, the ratio to the floor (each vector decoded once with gwframe) and how many times faster this project is;
"bytes" is the frames read and as many bytes as the day file has written, and nothing else; then what a channel costs
in a day of many, some hours of two raw channels of 20 kHz in 100-s frames, in turn with another checkout if one is
given, a day with nothing new, the listing of one day of a long FFL; and at the end the targets and whether each is
reached.  A target that is missed is told, and is no failure.

The day is 2024-04-10, its frames come from bin/make-frames (1 Hz, float32).  They lie in the page cache when a
run is timed; the runs take turns, the middle one counts.  --work DIR is kept, and frames in it are used again.
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
DAY, START, END = "2024-04-10", 1396742418, 1396828818
INCREMENT, INCREMENTS = 600, 12
ALL_INCREMENTS = (END - START) // INCREMENT
OURS, FLOOR, BYTES, GWPY, GWDAMA = "framemake", "floor", "bytes", "gwpy", "gwdama loop"
# How many times the floor a day may take, by length of frame.
TIMES_FLOOR = {100: 0.35, 3600: 0.85, 86400: 0.95}
FEW, USUAL, LIST_LINES = 1000, 3600, 500_000
RAW_RATE, RAW_CHANNELS, RAW_FRAMES = 20_000, 2, 100
PACKAGES = ("numpy", "h5py", "gwframe", "lalsuite", "gwpy", "gwdama")
# What a make above (make bench) says, which must not reach the makes that are measured.
ABOVE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "DAY", "FFL", "CHANNELS", "OUT", "SPEC")
ABOVE += ("INCREMENT", "COMPRESSION", "MAX_RETRIES", "LOCK_WAIT")


class Run(NamedTuple):
    """One run of a program with its descendants: wall and CPU seconds, MB of its largest process, its output."""

    wall: float
    cpu: float
    peak: float
    out: str


class Frames(NamedTuple):
    """Frames of the day: folder, FFL, channel list."""

    folder: str
    ffl: str
    channels: str


# --- running and timing ------------------------------------------------------------------


def environment():
    """Python of the environment that the Makefile takes, and the variables that programs get."""
    variables = {name: value for name, value in os.environ.items() if name not in ABOVE}
    venv = os.environ.get("VENV", os.path.join(ROOT, ".venv"))
    python = os.path.join(ROOT, venv, "bin", "python") if venv else "python3"
    if venv:
        variables["PATH"] = os.path.dirname(python) + os.pathsep + os.environ["PATH"]
    return python, variables


PYTHON, VARIABLES = environment()


def measure(command):
    """Run a command and time it; None, and a word on stderr, if it fails.

    A process's peak counts what its parent had before exec, so this program stays small: no numpy, no h5py here.
    """
    os.sync()  # what earlier runs wrote is not this one's work
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=VARIABLES, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            note(f"FAILED with {process.returncode}: {' '.join(command)[:200]}\n{err.read()[-2000:]}")
            return None
        return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, out.read())


def middle(runs):
    """The median of each figure of the runs that did not fail, as a Run; None if all did."""
    runs = [run for run in runs if run]
    if not runs:
        return None
    return Run(*(statistics.median(run[at] for run in runs) for at in range(3)), runs[-1].out)


def note(text):
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def say(text=""):
    print(text, flush=True)


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


# --- the machine and the frames ----------------------------------------------------------


def first_of(path, start):
    with open(path, encoding="utf-8", errors="replace") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(start)), "unknown")


def versions():
    """Version by package, None for one that is not installed; and of Python."""
    code = (
        "import importlib.metadata as m, json, platform, sys\n"
        "def of(name):\n"
        "    try: return m.version(name)\n"
        "    except m.PackageNotFoundError: return None\n"
        "print(json.dumps({'python': platform.python_version(), **{n: of(n) for n in sys.argv[1:]}}))"
    )
    return json.loads(subprocess.check_output([PYTHON, "-c", code, *PACKAGES], env=VARIABLES))


def tell_machine(found, args):
    cores = len(os.sched_getaffinity(0))
    memory = first_of("/proc/meminfo", "MemTotal").split()[0]
    commit = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True
    ).stdout.strip()
    say(f"Machine: {first_of('/proc/cpuinfo', 'model name')}, {cores} cores, {int(memory) / 2**20:.0f} GB")
    say(f"         load {os.getloadavg()[0]:.2f} at the start; {os.uname().sysname} {os.uname().release}")
    say("Software: " + ", ".join(f"{name} {version or 'not installed'}" for name, version in found.items()))
    say(f"          framemake at {commit or 'no commit'}")
    kind = "quick (too small a day to judge by); " if args.quick else ""
    say(f"Measured: {kind}{DAY}, {args.channels} channels of 1 Hz, median of {args.runs} runs each")


def made(work, length, channels, *more):
    """Frames of the day, written unless a kept work folder has them; read once, so that all runs find them cached.

    more: options of make-frames.
    """
    base = os.path.join(work, "-".join(["frames", str(length), str(channels), *more[1::2]]))
    frames = Frames(base, f"{base}.ffl", f"{base}.channels.txt")
    if not os.path.exists(frames.ffl):
        note(f"writing frames of {length} s, {channels} channels ...")
        shutil.rmtree(base, ignore_errors=True)
        command = [os.path.join(ROOT, "bin/make-frames"), base, "--day", DAY, "--duration", str(length)]
        command += ["--channels", str(channels), "--list", frames.channels, *more]
        with open(f"{frames.ffl}.tmp", "w", encoding="utf-8") as out:
            subprocess.run(command, env=VARIABLES, stdout=out, check=True)
        os.rename(f"{frames.ffl}.tmp", frames.ffl)
    buffer = bytearray(1 << 20)
    for name in os.listdir(base):
        with open(os.path.join(base, name), "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return frames


# --- the ways to a day --------------------------------------------------------------


def make_command(frames, out):
    return ["make", f"DAY={DAY}", f"FFL={frames.ffl}", f"CHANNELS={frames.channels}", f"OUT={out}"]


def product(out):
    return os.path.join(out, f"V1trend-{DAY}", f"V1trend_{DAY.replace('-', '')}.h5")


def ours(frames, out):
    return measure(make_command(frames, fresh(out)))


def floor_command(frames, target):
    script = os.path.join(BENCH, "floor.py")
    return [PYTHON, script, frames.folder, frames.channels, str(START), str(END - START), target]


def floor(frames, out):
    return measure(floor_command(frames, os.path.join(fresh(out), "floor.h5")))


def only_bytes(frames, out):
    """What this project read and wrote, in the turn before, as bytes alone."""
    made_by_us = product(os.path.join(os.path.dirname(out), OURS))
    if not os.path.exists(made_by_us):
        return None
    script, target = os.path.join(BENCH, "bytes.py"), os.path.join(fresh(out), "bytes")
    return measure([PYTHON, script, frames.folder, str(os.path.getsize(made_by_us)), target])


def gwpy_command(frames, *more):
    script = os.path.join(BENCH, "gwpy_day.py")
    return [PYTHON, script, frames.ffl, frames.channels, str(START), str(END), *more]


def gwpy(frames, out, backend, *more):
    return measure(gwpy_command(frames, os.path.join(fresh(out), "gwpy.h5"), "--backend", backend, *more))


def gwdama(frames, out):
    """The loop's first increments, and the rest of the day as more of the same: only the start-up counts once."""
    script = os.path.join(BENCH, "gwdama_loop.py")
    target = os.path.join(fresh(out), "gwdama.h5")
    command = [PYTHON, script, frames.ffl, frames.channels, str(START), target]
    run = measure([*command, "--increment", str(INCREMENT), "--increments", str(INCREMENTS)])
    if run is None:
        return None
    told = json.loads(run.out.splitlines()[-1])
    rest = ALL_INCREMENTS / INCREMENTS - 1
    return run._replace(wall=run.wall + rest * told["loop"], cpu=run.cpu + rest * told["loop_cpu"])


def fastest_backend(frames):
    """The GWF backend of gwpy that reads fastest of those installed, after a trial."""
    run = measure(gwpy_command(frames, "--try"))
    told = json.loads(run.out.splitlines()[-1]) if run else {}
    works = {name: seconds for name, seconds in told.items() if seconds is not None}
    tried = ", ".join(
        f"{name} {seconds:.2f} s" if seconds else f"{name} not installed" for name, seconds in told.items()
    )
    best = min(works, key=works.get, default="LALFrame")
    say(f"gwpy:        reads with its backend {best} (three files: {tried}),")
    say("             one file after another in one process (nproc=1)")
    return best


def days(frames, work, args, ways):
    """The ways on the same frames, taking turns; a Run each, the middle ones."""
    runs = {name: [] for name in ways}
    for turn in range(args.runs):
        for name, way in ways.items():
            note(f"{os.path.basename(frames.folder)}, run {turn + 1} of {args.runs}: {name}")
            runs[name].append(way(frames, os.path.join(work, "out", name.replace(" ", "-"))))
    return runs


def tell_days(length, runs, extra):
    """The table of one length of frame."""
    best = {name: middle(each) for name, each in runs.items()} | extra
    rows = []
    for name, run in best.items():
        if run is None:
            rows.append([name, "failed", "", "", "", "", ""])
            continue
        walls = [each.wall for each in runs.get(name, [run]) if each]
        rows.append(
            [
                name,
                f"{run.wall:.2f}",
                f"{min(walls):.2f}-{max(walls):.2f}",
                f"{run.cpu:.2f}",
                f"{run.peak:.0f}",
                f"{run.wall / best[FLOOR].wall:.2f}" if best[FLOOR] else "?",
                f"{run.wall / best[OURS].wall:.1f}" if best[OURS] else "?",
            ]
        )
    say()
    say(f"Frames of {length} s")
    table(["what", "wall s", "least-most", "CPU s", "peak MB", "x floor", "ours is faster, times"], rows)
    if best.get(GWPY):
        told = json.loads(best[GWPY].out.splitlines()[-1])
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in told.items())
        say(f"  gwpy in its last run: {parts}; it writes gzip unless told otherwise")
    return best


def tell_equal(frames, work):
    """Whether the products of the last runs are the same, bit by bit."""
    out = os.path.join(work, "out")
    paths = [
        product(os.path.join(out, OURS)),
        os.path.join(out, FLOOR, "floor.h5"),
        os.path.join(out, GWPY, "gwpy.h5"),
        os.path.join(out, "gwdama-loop", "gwdama.h5"),
    ]
    run = measure([PYTHON, os.path.join(BENCH, "equal.py"), frames.channels, *paths])
    say(f"  {run.out.strip() if run else 'NOT COMPARED'}")


def table(head, rows):
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        say("  " + "  ".join(cells).rstrip())


# --- what else is measured ---------------------------------------------------------------


def nothing_new(frames, work, count):
    """A second make on the day that the runs left; the middle of some, or None."""
    out = os.path.join(work, "out", OURS)
    if not os.path.exists(product(out)):
        return None
    before = os.stat(product(out)).st_mtime_ns
    runs = [measure(make_command(frames, out)) for _ in range(count)]
    if os.stat(product(out)).st_mtime_ns != before:
        say("  A DAY WITH NOTHING NEW WAS BUILT AGAIN")
    return middle(runs)


def cost_of_many(work, args, few):
    """(Run of few channels, Run of many), on 3600-s frames; few: a Run that is there already, or None."""
    out = os.path.join(work, "out", "many")
    if few is None:
        frames = made(work, USUAL, FEW)
        few = middle([ours(frames, out) for _ in range(args.runs)])
    frames = made(work, USUAL, args.many)
    runs = []
    for turn in range(args.runs):
        note(f"{args.many} channels, run {turn + 1} of {args.runs}")
        runs.append(ours(frames, out))
    shutil.rmtree(out, ignore_errors=True)
    return few, middle(runs)


def raw(work, args):
    """(Run of raw channels, Run of the same by the other checkout or None)."""
    minutes = str(round(args.raw * 60))
    frames = made(work, RAW_FRAMES, RAW_CHANNELS, "--rate", str(RAW_RATE), "--minutes", minutes)
    out, runs = os.path.join(work, "out", "raw"), ([], [])
    for turn in range(args.runs):
        for root, into in zip((ROOT, args.against), runs, strict=True):
            if root:
                note(f"raw channels, run {turn + 1} of {args.runs}: {root}")
                makefile = ["-f", os.path.join(root, "Makefile"), f"MINUTES={minutes}"]
                into.append(measure(make_command(frames, fresh(out)) + makefile))
    shutil.rmtree(out, ignore_errors=True)
    return tuple(map(middle, runs))


def long_list(work):
    """An FFL of 100-s frames over 19 months with the day in the middle; only the day's files are there."""
    folder = os.path.join(work, "long-list")
    ffl = os.path.join(work, "long-list.ffl")
    first = START // 100 * 100 - LIST_LINES // 2 * 100
    os.makedirs(folder, exist_ok=True)
    with open(ffl, "w", encoding="utf-8") as out:
        for start in range(first, first + LIST_LINES * 100, 100):
            path = os.path.join(folder, f"V-trend-{start}-100.gwf")
            out.write(f"{path} {start}.000000 100.000000 0 0\n")
            if start + 100 > START and start < END:
                with open(path, "wb") as file:
                    file.write(b"frame")
    return ffl


def listing(work, count):
    ffl = long_list(work)
    runs = [measure([os.path.join(ROOT, "bin/list-frames"), ffl, "--day", DAY]) for _ in range(count)]
    run = middle(runs)
    if run and run.out.count("\n") != (END - 1) // 100 - START // 100 + 1:
        say(f"  LIST-FRAMES TOLD {run.out.count(chr(10))} FRAMES")
    return run


# --- the targets -------------------------------------------------------------------------


def ratio(slow, fast):
    return slow.wall / fast.wall if slow and fast else None


def judged(what, value, limit, unit, most=True):
    """A row of the table of targets."""
    sign = "<=" if most else ">="
    if value is None:
        return [what, f"{sign} {limit:g}{unit}", "not measured", ""]
    reached = value <= limit if most else value >= limit
    return [what, f"{sign} {limit:g}{unit}", f"{value:.3g}{unit}", "reached" if reached else "MISSED"]


def targets(best, idle, few_many, listed):
    rows = []
    for length, runs in best.items():
        most = TIMES_FLOOR.get(length, 1)
        rows.append(judged(f"times the floor, {length}-s frames", ratio(runs[OURS], runs[FLOOR]), most, ""))
    for length, runs in best.items():
        value = ratio(runs[GWPY], runs[OURS])
        rows.append(judged(f"times faster than gwpy, {length}-s frames", value, 8, "", most=False))
    usual = best.get(USUAL, {})
    value = ratio(usual.get(GWDAMA), usual.get(OURS))
    rows.append(judged(f"times faster than the gwdama loop, {USUAL}-s frames", value, 40, "", most=False))
    peaks = [runs[OURS].peak for runs in best.values() if runs[OURS]]
    peaks += [run.peak for run in few_many.values() if run]
    rows.append(judged("memory of the largest process", max(peaks, default=None), 300, " MB"))
    costs = [run.wall / channels for channels, run in few_many.items() if run]
    value = costs[1] / costs[0] if len(costs) == 2 else None
    rows.append(judged("cost a channel, many channels to few", value, 1.2, ""))
    slowest = max((run.wall for run in idle.values() if run), default=None)
    rows.append(judged("a day with nothing new", slowest, 1, " s"))
    rows.append(judged(f"list-frames of {LIST_LINES} lines", listed.wall if listed else None, 2, " s"))
    return rows


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", metavar="S,S,...", help="lengths of frame in s (100,3600,86400)")
    parser.add_argument("--channels", type=int, metavar="N", help="of the days that are compared (1000)")
    parser.add_argument("--many", type=int, metavar="N", help="of the day of many channels, 0: none (20000)")
    parser.add_argument("--raw", type=float, metavar="H", help="hours of two raw channels, 0: none (24, 35 GB)")
    parser.add_argument("--against", metavar="CHECKOUT", help="another checkout, that makes the raw channels as well")
    parser.add_argument("--runs", type=int, metavar="N", help="of each, of which the median counts (3)")
    parser.add_argument("--quick", action="store_true", help="100 channels, 3600-s frames, one run, no many")
    parser.add_argument("--work", metavar="DIR", help="where frames and products go, kept (a temporary folder)")
    args = parser.parse_args()
    usual = ("3600", 100, 0, 0, 1) if args.quick else ("100,3600,86400", FEW, 20000, 24, 3)
    for name, value in zip(("frames", "channels", "many", "raw", "runs"), usual, strict=True):
        if getattr(args, name) is None:
            setattr(args, name, value)
    args.frames = [int(length) for length in args.frames.split(",")]
    return args


def bench(work, args):
    found = versions()
    tell_machine(found, args)
    subprocess.run(["make", "setup"], cwd=ROOT, env=VARIABLES, stdout=sys.stderr, check=True)
    backend = fastest_backend(made(work, args.frames[0], args.channels))
    ways = {OURS: ours, FLOOR: floor, BYTES: only_bytes, GWPY: lambda frames, out: gwpy(frames, out, backend)}
    if found["gwdama"]:
        ways[GWDAMA] = gwdama
        times = ALL_INCREMENTS / INCREMENTS
        say(
            f"gwdama loop: {INCREMENTS} of {ALL_INCREMENTS} increments are run, and their time is taken times {times:g}"
        )
        say("             (start-up counts once; memory as it is)")
    else:
        say("gwdama loop: left out, gwdama is not installed (it needs Python < 3.13)")

    best, idle = {}, {}
    for length in args.frames:
        frames = made(work, length, args.channels)
        runs = days(frames, work, args, ways)
        extra = {}
        if length == USUAL:
            note("gwpy once more, with the compression that this project writes")
            out = os.path.join(work, "out", "gwpy-lzf")
            extra["gwpy, lzf, 1 run"] = gwpy(frames, out, backend, "--compression", "lzf")
            shutil.rmtree(out, ignore_errors=True)
        best[length] = tell_days(length, runs, extra)
        tell_equal(frames, work)
        idle[length] = nothing_new(frames, work, 2 if args.quick else 5)
        shutil.rmtree(os.path.join(work, "out"), ignore_errors=True)

    few_many = {}
    if args.many:
        known = best.get(USUAL, {}).get(OURS) if args.channels == FEW else None
        few, many = cost_of_many(work, args, known)
        few_many = {FEW: few, args.many: many}
    raws = raw(work, args) if args.raw else ()
    note("list-frames")
    listed = listing(work, 1 if args.quick else 3)
    say()
    say("And")
    rows = [[f"{n} channels, 3600-s frames", *figures(run, n)] for n, run in few_many.items()]
    about = f"{RAW_CHANNELS} channels of {RAW_RATE} Hz, {args.raw:g} h, {RAW_FRAMES}-s frames"
    names = about, "the same by the other checkout"
    rows += [[name, *figures(run)] for name, run in zip(names, raws, strict=False) if run]
    rows += [[f"a day with nothing new, {length}-s frames", *figures(run)] for length, run in idle.items()]
    rows += [[f"list-frames, one day of {LIST_LINES} lines", *figures(listed)]]
    table(["what", "wall s", "CPU s", "peak MB", "ms a channel"], rows)
    say()
    say("Targets" + (" (quick: they are for 1000 channels)" if args.quick else ""))
    table(["what", "target", "measured", ""], targets(best, idle, few_many, listed))


def figures(run, channels=None):
    if run is None:
        return ["failed", "", "", ""]
    each = f"{run.wall / channels * 1000:.2f}" if channels else ""
    return [f"{run.wall:.2f}", f"{run.cpu:.2f}", f"{run.peak:.0f}", each]


def in_folder(bench, args):
    """Call bench(folder, args) with the folder of args.work, which is kept, or one that is removed afterwards."""
    if args.work:
        os.makedirs(args.work, exist_ok=True)
        bench(os.path.realpath(args.work), args)
    else:
        with tempfile.TemporaryDirectory(prefix="framemake-bench-") as work:
            bench(work, args)


def run_bench(bench, parser):
    """Call bench(folder, args) with what a parser takes, and the options --runs and --work, which it is given."""
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each, of which the median counts (3)")
    parser.add_argument("--work", metavar="DIR", help="where frames and products go, kept (a temporary folder)")
    args = parser.parse_args()
    args.quick = False
    in_folder(bench, args)


def main():
    in_folder(bench, arguments())


if __name__ == "__main__":
    main()
