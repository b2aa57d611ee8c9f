#!/usr/bin/env python3
"""How long a range takes: days at once, a range with nothing new, one with one new frame, the planning of 588 days.

  python3 tests/bench/ranges.py [--channels 1000] [--days 4] [--many 588] [--runs 3] [--work DIR]

Prints the machine, then days an hour for 1, 2 and 4 days at once, beside independent `make DAY=` runs of the same
days, as many at once; then a range of many finished days (one channel, 3600-s frames) with nothing new, the same
after one frame of its last day has changed, beside that day's own make; and the planning of as many days from an
FFL of 100-s frames, half a million lines, whose files are there; the CPU of a day of 20 channels; a day of 1,592
channels, and 50 more in it.  A target that is missed is told, and is no failure.  --work DIR is kept, and frames in it
are used again.
"""

import argparse
import datetime
import os
import subprocess

from day import (
    DAY,
    ROOT,
    START,
    VARIABLES,
    Run,
    fresh,
    judged,
    measure,
    middle,
    note,
    run_bench,
    say,
    table,
    tell_machine,
    versions,
)

FIRST = datetime.date.fromisoformat(DAY)
# Channels of a full day, and how many are added to it.
MANY_CHANNELS, MORE = 1592, 50


def days_from(count):
    return [str(FIRST + datetime.timedelta(days=n)) for n in range(count)]


def frames_of(work, days, channels):
    """(FFL, channel list) of frames of 3600 s of these days, written unless a kept work folder has them."""
    base = os.path.join(work, f"days-{len(days)}-{channels}")
    ffl, listed = f"{base}.ffl", f"{base}.channels.txt"
    if not os.path.exists(ffl):
        note(f"writing frames of {len(days)} days, {channels} channels ...")
        end = str(datetime.date.fromisoformat(days[-1]) + datetime.timedelta(days=1))
        command = [os.path.join(ROOT, "bin/make-frames"), base, "--start", days[0], "--end", end, "--duration", "3600"]
        with open(f"{ffl}.tmp", "w", encoding="utf-8") as out:
            command += ["--channels", str(channels), "--list", listed]
            subprocess.run(command, env=VARIABLES, stdout=out, check=True)
        os.rename(f"{ffl}.tmp", ffl)
    return ffl, listed


def variables(frames, out):
    return [f"FFL={frames[0]}", f"CHANNELS={frames[1]}", f"OUT={out}"]


def range_of(days, frames, out, at_once):
    return measure(["make", f"-j{at_once}", "range", f"START={days[0]}", f"END={days[-1]}", *variables(frames, out)])


def alone(days, frames, out, at_once):
    """Independent makes of single days, at_once of them at any time, started by GNU parallel."""
    command = ["parallel", "--will-cite", "--quote", "-j", str(at_once), "make", "DAY={}", *variables(frames, out)]
    return measure([*command, ":::", *days])


def at_once(work, args):
    """Rows of the table, and by number of days at once the share of the independent makes' days."""
    days, frames = days_from(args.days), frames_of(work, days_from(args.days), args.channels)
    rows, shares = [], {}
    for count in (1, 2, 4):
        runs = {range_of: [], alone: []}
        for turn in range(args.runs):
            for way, each in runs.items():
                note(f"{count} at once, run {turn + 1} of {args.runs}: {way.__name__}")
                each.append(way(days, frames, fresh(os.path.join(work, "out")), count))
        ours, theirs = middle(runs[range_of]), middle(runs[alone])
        if ours and theirs:
            shares[count] = theirs.wall / ours.wall
            hour = [f"{3600 * len(days) / run.wall:.0f}" for run in (ours, theirs)]
            rows.append([f"{count} at once", f"{ours.wall:.2f}", *hour, f"{shares[count]:.2f}", f"{ours.peak:.0f}"])
    return rows, shares


def many_days(work, args):
    """(nothing new, one new frame, that day's own make) of a range of many finished days, a Run each."""
    days, out = days_from(args.many), os.path.join(work, "many")
    frames = frames_of(work, days, 1)
    note(f"building {len(days)} days ...")
    if range_of(days, frames, out, os.cpu_count()) is None:
        return None, None, None
    idle = middle([range_of(days, frames, out, 1) for _ in range(args.runs)])
    with open(frames[0], encoding="utf-8") as lines:
        last = lines.readlines()[-2].split()[0]
    late, single = [], []
    for _ in range(args.runs):
        os.utime(last)
        late.append(range_of(days, frames, out, 1))
        os.utime(last)
        single.append(alone(days[-1:], frames, out, 1))
    return idle, middle(late), middle(single)


def planning(work, args):
    """The planning of many days from a list of 100-s frames whose files are there: a Run."""
    folder, ffl = os.path.join(work, "hundred"), os.path.join(work, "hundred.ffl")
    days = days_from(args.many)
    if not os.path.exists(ffl):
        note("writing files that are frames by name ...")
        with open(f"{ffl}.tmp", "w", encoding="utf-8") as out:
            for start in range(START // 100 * 100, START + 86400 * len(days), 100):
                path = os.path.join(folder, f"V-trend-{start // 10**6}", f"V-trend-{start}-100.gwf")
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(b"x")
                out.write(f"{path} {start} 100 0 0\n")
        os.rename(f"{ffl}.tmp", ffl)
    listed = os.path.join(work, "hundred.txt")
    with open(listed, "w", encoding="utf-8") as out:
        out.write("V1:A\n")
    command = [os.path.join(ROOT, "bin/plan-range"), ffl, "--first", days[0], "--last", days[-1], "--channels", listed]
    runs = [measure([*command, "--out", fresh(os.path.join(work, "planned"))]) for _ in range(args.runs)]
    with open(ffl, encoding="utf-8") as lines:
        note(f"{sum(1 for _ in lines)} lines planned")
    return middle(runs)


def one(frames, out):
    return measure(["make", f"DAY={DAY}", *variables(frames, out)])


def small_day(work, args):
    """make DAY= of a day of 20 channels: a Run."""
    frames = frames_of(work, days_from(1), 20)
    return middle([one(frames, fresh(os.path.join(work, "small"))) for _ in range(args.runs)])


def more_channels(work, args):
    """(a day of 1,592 channels, the same day with 50 more): a Run each, taking turns."""
    ffl, listed = frames_of(work, days_from(1), MANY_CHANNELS + MORE)
    fewer = os.path.join(work, "fewer.txt")
    with open(listed, encoding="utf-8") as names, open(fewer, "w", encoding="utf-8") as out:
        out.writelines(names.readlines()[:MANY_CHANNELS])
    whole, more = [], []
    for _ in range(args.runs):
        out = fresh(os.path.join(work, "more"))
        whole.append(one((ffl, fewer), out))
        more.append(one((ffl, listed), out))
    return middle(whole), middle(more)


def row(what, run):
    return [what, *(("failed", "", "") if run is None else (f"{run.wall:.2f}", f"{run.cpu:.2f}", f"{run.peak:.0f}"))]


def bench(work, args):
    tell_machine(versions(), args)
    rows, shares = at_once(work, args)
    say()
    say(f"{args.days} days of {args.channels} channels")
    head = ["make range", "wall s", "days an hour", "independent makes", "share of them", "peak MB"]
    table(head, rows)
    idle, late, single = many_days(work, args)
    planned = planning(work, args)
    few, (whole, more) = small_day(work, args), more_channels(work, args)
    say()
    say("And")
    rows = [
        row(f"a range of {args.many} days, nothing new", idle),
        row("the same with one new frame in its last day", late),
        row("make DAY= of that day, one new frame", single),
        row(f"planning {args.many} days of 100-s frames", planned),
        row("make DAY= of a day of 20 channels", few),
        row(f"make DAY= of a day of {MANY_CHANNELS} channels", whole),
        row(f"the same day, {MORE} channels more", more),
    ]
    table(["what", "wall s", "CPU s", "peak MB"], rows)
    say()
    say("Targets")
    rows = [
        judged(f"share of the independent days, {n} at once", share, 0.85, "", False) for n, share in shares.items()
    ]
    rows.append(judged(f"{args.many} days, nothing new", seconds(idle), 3, " s"))
    longer = seconds(late) - seconds(single) if late and single else None
    rows.append(judged("one new frame: more than that day's time", longer, 0.5, " s"))
    rows.append(judged(f"planning {args.many} days", seconds(planned), 5, " s"))
    rows.append(judged("a day of 20 channels, CPU", few.cpu if few else None, 0.7, " s"))
    share = more.wall / whole.wall if more and whole else None
    rows.append(judged(f"{MORE} channels more in a day of {MANY_CHANNELS}, of a full build", share, 0.25, ""))
    table(["what", "target", "measured", ""], rows)


def seconds(run: Run | None):
    return run.wall if run else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=1000, metavar="N", help="of the days at once (1000)")
    parser.add_argument("--days", type=int, default=4, metavar="N", help="how many of those (4)")
    parser.add_argument("--many", type=int, default=588, metavar="N", help="days of the long range (588)")
    run_bench(bench, parser)


if __name__ == "__main__":
    main()
