#!/usr/bin/env python3
"""How a day and a range use the cores: a day on 1, 2, 4 ... of them beside the floor, and days at once on all.

  python3 tests/bench/cores.py [--channels 1000] [--length 3600] [--days N] [--runs 3] [--work DIR]

Prints the machine; a table of one day, bound to so many cores, and the floor (see day.py) bound to as many, in turn;
then as many days as there are cores, or N, built by `make range` with one -j for each core, and which share of so many
single cores that is: of one core that builds one day after another none is lost.  At the end the targets and whether
each is reached.  On a machine of two cores that is all it says of sixteen.
"""

import argparse
import os

from day import (
    floor_command,
    fresh,
    in_folder,
    judged,
    made,
    make_command,
    measure,
    middle,
    note,
    say,
    table,
    tell_machine,
    versions,
)
from ranges import days_from, frames_of, range_of

LENGTH = 3600


def bound(cores, command):
    """A command that is bound to some cores."""
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]


def counts(cores):
    """1, 2, 4 ... of the cores, and all of them."""
    return sorted({*(2**n for n in range(len(cores).bit_length())), len(cores)} - {0})


def one_day(work, args, cores):
    """{number of cores: (the day, the floor)}, a Run each: the middle ones of those that take turns."""
    frames, out = made(work, args.length, args.channels), os.path.join(work, "out")
    runs = {}
    for turn in range(args.runs):
        for count in counts(cores):
            note(f"a day on {count} cores, run {turn + 1} of {args.runs}")
            target = os.path.join(fresh(f"{out}-floor"), "floor.h5")
            commands = make_command(frames, fresh(out)), floor_command(frames, target)
            for at, command in enumerate(commands):
                runs.setdefault((count, at), []).append(measure(bound(cores[:count], command)))
    return {count: (middle(runs[count, 0]), middle(runs[count, 1])) for count in counts(cores)}


def at_once(work, args, cores):
    """(seconds of all days, one on each core; seconds of one on one core) of the days of a range."""
    days = days_from(args.days or len(cores))
    frames, out = frames_of(work, days, args.channels), os.path.join(work, "out")
    together, single = [], []
    for turn in range(args.runs):
        note(f"{len(days)} days at once, run {turn + 1} of {args.runs}")
        together.append(range_of(days, frames, fresh(out), len(cores)))
        one = [f"DAY={days[0]}", f"FFL={frames[0]}", f"CHANNELS={frames[1]}", f"OUT={fresh(out)}"]
        single.append(measure(bound(cores[:1], ["make", *one])))
    return len(days), middle(together), middle(single)


def bench(work, args):
    cores = sorted(os.sched_getaffinity(0))
    tell_machine(versions(), args)
    days = one_day(work, args, cores)
    say()
    say(f"One day in frames of {args.length} s, bound to so many cores")
    rows, times = [], None
    for count, (day, floor) in days.items():
        times = day.wall / floor.wall if day and floor else None
        told = ["failed" if run is None else f"{run.wall:.2f}" for run in (day, floor)]
        rows.append([f"{count} cores", *told, f"{times:.2f}" if times else ""])
    table(["", "day s", "floor s", "times the floor"], rows)
    number, together, single = at_once(work, args, cores)
    share = number * single.wall / (len(cores) * together.wall) if together and single else None
    say()
    say(f"{number} days in frames of 3600 s")
    told = ["failed" if run is None else f"{run.wall:.2f}" for run in (together, single)]
    table(
        ["", "s"], [[f"make range -j{len(cores)} on {len(cores)} cores", told[0]], ["make DAY= on one core", told[1]]]
    )
    say()
    say("Targets")
    rows = [
        judged(f"times the floor on {len(cores)} cores", times, 1.6, ""),
        judged(f"share of {len(cores)} single cores", share, 0.9, "", most=False),
    ]
    table(["what", "target", "measured", ""], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=1000, metavar="N", help="of the days (1000)")
    parser.add_argument("--length", type=int, default=LENGTH, metavar="S", help="of the frames of the one day (3600)")
    parser.add_argument("--days", type=int, metavar="N", help="days at once (as many as cores)")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each, of which the median counts (3)")
    parser.add_argument("--work", metavar="DIR", help="where frames and products go, kept (a temporary folder)")
    args = parser.parse_args()
    args.quick = False
    in_folder(bench, args)


if __name__ == "__main__":
    main()
