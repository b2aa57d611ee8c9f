"""Day folders written at once, by the writers that make's commands use: for tests of what reads days, and for benches.

A channel is (samples, rate, unit); the samples stand from the beginning of the day on, NaN where there is none.
"""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
from framemake import files, gps, grid
from framemake.day import coverage, layout, statistics
from framemake.day.account import Account
from framemake.day.folder import Folder
from framemake.day.provenance import Dataset, Origin, Provenance, write_statistics
from framemake.frames.catalog import ABSENT, Frame

INCREMENT = 600


def frames_of(window, duration=3600, folder="/frames", absent=()):
    """The frames of a day, each on a multiple of `duration`; absent: the numbers of those that are not there."""
    starts = range(window.start // duration * duration, window.end, duration)
    return [
        Frame(f"{folder}/V-trend-{at}-{duration}.gwf", at, duration, *((-1, -1, ABSENT) if n in absent else (9, 9)))
        for n, at in enumerate(starts)
    ]


def write_day(
    out, date, channels, spec="V1trend", frames=None, offset=0.0, state="completed", window=None, written=None, **odd
):
    """Write the folder of a day of these channels; its day file.

    frames: those that it was made from; one gave a channel what the samples in its span are.  offset: s from the day's
    begin to sample 0.  written: of how many channels samples are written; the others only say that they have some.
    odd: fields of the account (bad, problems, transient), listed: names asked for, rejected, and
    dropped: rates_dropped.
    """
    window = window or gps.day_window(date)
    folder = Folder.of(str(out), spec, date)
    Path(folder.path).mkdir(parents=True)
    frames = frames_of(window) if frames is None else frames
    near = [(at, frame) for at, frame in enumerate(frames) if frame.status != ABSENT]
    account = Account(coverage.pairs(window, INCREMENT, near, [(0, window.duration)]), len(channels))
    for name in ("bad", "problems", "transient"):
        setattr(account, name, odd.pop(name, getattr(account, name)))
    account.seen = set(channels)
    datasets, tables = {}, {}
    with files.replacing(folder.h5, durable=False) as aside, h5py.File(aside, "w", libver=("earliest", "v110")) as file:
        group = file.create_group(layout.CHANNELS)
        for at, (name, (samples, rate, unit)) in enumerate(channels.items()):
            where = grid.Grid(rate, grid.place(offset, rate)[1])
            total = grid.length(window.duration, rate)
            assert len(samples) == total, (name, len(samples), total)
            cut, t0 = grid.cut(rate, INCREMENT, window.duration), grid.t0(window, where)
            dataset = layout.create(group, name, samples.dtype, total, cut.chunk, "lzf")
            layout.describe(dataset, name, rate, unit, t0)
            good = ~np.isnan(samples)
            for first in range(0, total, cut.chunk) if written is None or at < written else ():
                if good[first : first + cut.chunk].any():
                    layout.write_chunk(dataset, (first,), samples[first : first + cut.chunk], cut.chunk, "lzf")
            tables[at] = statistics.of_units(samples[None], good[None], 0, cut.unit)[0]
            datasets[name] = Dataset(rate, samples.dtype.name, total, t0, unit)
            for row, (number, increment) in enumerate(account.pairs):
                begin = max(frames[number].start - window.start, increment * INCREMENT)
                stop = min(frames[number].end - window.start, (increment + 1) * INCREMENT)
                if good[max(0, grid.first_at(begin, where)) : max(0, grid.first_at(stop, where))].any():
                    account.gave[row, at] = account.number_of(unit)
        requested = odd.pop("listed", list(channels))
        origin = Origin(spec, "/trend.ffl", "/channels.txt", "", requested, odd.pop("rejected", []))
        made = group.parent.create_group(layout.PROVENANCE)
        dropped = odd.pop("dropped", {})
        provenance = Provenance(
            "0", window, INCREMENT, "lzf", origin, list(channels), datasets, frames, account, dropped, {}
        )  # fmt: skip
        provenance.save(made)
        write_statistics(made, tables, provenance)
        layout.stamp(file, window, INCREMENT, folder.name)
    assert not odd, odd
    if state:
        Path(folder.state_path).write_text(json.dumps({"date": date, "status": state, "error": None}))
    return Path(folder.h5)


def ramp_day(date, rate=1.0, first=None, dtype="f4", unit="V"):
    """(samples, rate, unit) of a day: sample k is first + k, first being 100,000 times the day of the month."""
    window = gps.day_window(date)
    first = 100_000 * int(date[-2:]) if first is None else first
    return (np.arange(grid.length(window.duration, rate)) + first).astype(dtype), rate, unit


def copy_day(h5, out, date, spec="V1trend"):
    """A day folder with the content of another day's file, all its times moved: for many days in a short time."""
    folder = Folder.of(str(out), spec, date)
    Path(folder.path).mkdir(parents=True)
    shutil.copyfile(h5, folder.h5)
    with h5py.File(folder.h5, "r+") as file:
        group = file[layout.PROVENANCE]
        made = json.loads(group["inputs"][()])
        window = gps.day_window(date)
        later = window.start - made["window"][0]
        made["window"] = list(window)
        for frame in made["frames"]:
            frame[1] += later
            frame[0] = f"/frames/V-trend-{frame[1]}-{frame[2]}.gwf"
        for name, dataset in made["datasets"].items():
            dataset[3] += later
            h5py.h5a.open(file[layout.CHANNELS][name].id, b"t0").write(np.array(dataset[3]))
        del group["inputs"]
        group.create_dataset("inputs", data=np.bytes_(json.dumps(made)))
        layout.stamp(file, window, made["increment"], folder.name)
    Path(folder.state_path).write_text(json.dumps({"date": date, "status": "completed", "error": None}))
    return Path(folder.h5)
