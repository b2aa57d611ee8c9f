#!/usr/bin/env python3
"""How a day and a range use the cores: a day on 1, 2, 4 ... of them beside the floor, and days at once on all.

  python3 tests/bench/cores.py [--channels 1000] [--length 3600] [--days N] [--runs 3] [--work DIR]

Prints the machine; a table of one day, bound to so many cores, and the floor (see day.py) bound to as many, in turn;
then as many days as there are cores, or N, built by `make range` with one -j for each core, which share that is of what
so many cores would do if each built its days as one does by itself, and the same for independent makes, each bound to a
core: what they lose the machine does not have.  At the end the targets and whether each is reached.
"""

import argparse
import os
import shlex

from day import (
    floor_command,
    fresh,
    judged,
    made,
    make_command,
    measure,
    middle,
    note,
    run_bench,
    say,
    table,
    tell_machine,
    versions,
)
from ranges import days_from, frames_of, range_of, variables

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
    """(number of days; a range of them on all cores, independent makes of them, one make on one core: a Run each)."""
    days = days_from(args.days or len(cores))
    frames, out = frames_of(work, days, args.channels), os.path.join(work, "out")
    runs = [], [], []
    # GNU parallel numbers its slots from 1.
    slot = "{= $_ = (" + ",".join(map(str, cores)) + ")[slot() - 1] =}"
    for turn in range(args.runs):
        note(f"{len(days)} days at once, run {turn + 1} of {args.runs}")
        runs[0].append(range_of(days, frames, fresh(out), len(cores)))
        words = ["make", "DAY={}", *variables(frames, fresh(out))]
        line = f"taskset --cpu-list {slot} {' '.join(map(shlex.quote, words))}"
        runs[1].append(measure(["parallel", "--will-cite", "-j", str(len(cores)), line, ":::", *days]))
        runs[2].append(measure(bound(cores[:1], ["make", f"DAY={days[0]}", *variables(frames, fresh(out))])))
    return len(days), *map(middle, runs)


def share(run, days, single):
    """Which share of cores that build so many days each, as one does alone, a run of them comes to; None if unknown."""
    return days * single.wall / run.wall if run and single else None


def shared(name, run, days, single):
    """A row of the table."""
    part = share(run, days, single)
    return [name, f"{run.wall:.2f}" if run else "failed", f"{part:.2f}" if part else ""]


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
    number, together, independent, single = at_once(work, args, cores)
    say()
    say(f"{number} days in frames of 3600 s")
    each = number / len(cores)
    rows = [
        shared(f"make range -j{len(cores)}", together, each, single),
        shared("as many independent makes, a core each", independent, each, single),
        shared("make DAY= on one core", single, 1, single),
    ]
    table(["", "s", "share"], rows)
    say()
    say("Targets")
    rows = [
        judged(f"times the floor on {len(cores)} cores", times, 1.6, ""),
        judged(f"share of {len(cores)} single cores", share(together, each, single), 0.9, "", most=False),
    ]
    table(["what", "target", "measured", ""], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=1000, metavar="N", help="of the days (1000)")
    parser.add_argument("--length", type=int, default=LENGTH, metavar="S", help="of the frames of the one day (3600)")
    parser.add_argument("--days", type=int, metavar="N", help="days at once (as many as cores)")
    run_bench(bench, parser)


if __name__ == "__main__":
    main()
