"""Small days: a Site writes frames and a channel list, has the real commands make its day, and reads what came of it.

ramp and signal: samples that tell where they come from.  samples_without_times: what two builds of a day share, and
contents what a build shares with one that went on with an earlier result.
"""

import json
import os
from pathlib import Path

import h5py
import numpy as np
from framemake.gwf.write import Signal, write

from support.commands import DAY, ROOT, START, command, make

__all__ = [
    "DAY",
    "ROOT",
    "START",
    "Signal",
    "Site",
    "command",
    "contents",
    "make",
    "ramp",
    "samples_without_times",
    "signal",
]
STAMPS = ("created_utc", "time_stamp")


class Site:
    """A folder with frames, a list of them, a channel list and an output folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.frames = self.folder / "frames"
        self.frames.mkdir(parents=True, exist_ok=True)
        self.ffl, self.channels, self.out = (self.folder / name for name in ("t.ffl", "channels.txt", "out"))
        self.listed = []

    def frame(self, start, duration, signals, name=None, listed=True):
        """Write a frame file of one frame, `start` seconds from the day's begin, and list it."""
        gps = START + start
        path = self.frames / (name or f"V-test-{gps}-{duration}.gwf")
        write(path, [(gps, duration, signals)])
        if listed:
            self.list(path, gps, duration)
        return path

    def list(self, path, gps, duration):
        self.listed.append(f"{path} {gps} {duration} 0 0\n")
        self.ffl.write_text("".join(self.listed))

    def want(self, *names):
        self.channels.write_text("".join(f"{name}\n" for name in names))

    def make(self, *variables, **options):
        given = (f"DAY={DAY}", f"FFL={self.ffl}", f"CHANNELS={self.channels}", f"OUT={self.out}")
        return make(*given, *variables, cwd=self.folder, **options)

    @property
    def day(self):
        return self.out / f"V1trend-{DAY}"

    @property
    def h5(self):
        return self.day / "V1trend_20240410.h5"

    def span(self, seconds=360, *options, keep=None, increment=60):
        """Build the first seconds of the day with the commands alone; returns pad-merge's process."""
        parts = self.folder / "parts"
        span = ("--start", str(START), "--end", str(START + seconds))
        keep = ("--keep", str(keep)) if keep else ()
        self.h5.parent.mkdir(parents=True, exist_ok=True)
        given = (*span, "--parts", parts, "--increment", increment, *keep, *options)
        command("extract-increment", self.ffl, self.channels, *given)
        done = command("pad-merge", parts, "--out", self.h5, "--requested", self.channels, check=False)
        if done.returncode == 0:
            command("summarize", self.h5)
        return done

    def read(self, name):
        """(samples, attributes) of a channel of the day."""
        with h5py.File(self.h5) as file:
            dataset = file["channels"][name]
            return dataset[()], dict(dataset.attrs)

    def json(self, name):
        if name == "coverage":
            return json.loads((self.day / "channels_info" / "channels_coverage.json").read_text())
        if name == "summary":
            return json.loads(self.h5.with_suffix(".summary.json").read_text())
        return json.loads((self.day / name).read_text())

    def names(self, kind):
        return (self.day / "channels_info" / f"{kind}_channels.txt").read_text().split()

    def rejected(self):
        lines = (self.day / "channels_info" / "rejected.tsv").read_text().splitlines()
        return {name: (status, reason) for name, status, reason in (line.split("\t") for line in lines)}


def ramp(count, first=0, dtype="f4"):
    """Samples that tell where they come from: first, first + 1, ..."""
    return (np.arange(count) + first).astype(dtype)


def signal(name="V1:A", count=60, first=0, rate=1.0, dtype="f4", **more):
    return Signal(name, ramp(count, first, dtype), rate, more.pop("unit", "V"), **more)


def contents(path):
    """All that a day file holds but its two time stamps, however it lies in the file: {name: facts and stored chunks}.

    Two builds from the same frames and lists share it, whether they were made at once or one after another.
    """
    # By one handle: another file may take its place at any moment.
    with open(path, "rb") as raw, h5py.File(f"/proc/self/fd/{raw.fileno()}") as file:
        held = {"": sorted((key, repr(value)) for key, value in file.attrs.items() if key not in STAMPS)}
        for name, dataset in file["channels"].items():
            made, chunks = dataset.id.get_create_plist(), []
            dataset.id.chunk_iter(chunks.append)
            facts = repr((list(dataset.attrs.items()), dataset.dtype, dataset.shape, dataset.chunks, dataset.fillvalue))
            filters = [made.get_filter(at) for at in range(made.get_nfilters())]
            stored = sorted(
                (c.chunk_offset, c.filter_mask, os.pread(raw.fileno(), c.size, c.byte_offset)) for c in chunks
            )
            held[f"channels/{name}"] = facts, filters, stored
        datasets = {}
        file["provenance"].visititems(lambda name, each: datasets.update({name: each}))
        for name, each in datasets.items():
            if isinstance(each, h5py.Dataset):
                held[f"provenance/{name}"] = each.dtype.str, each.shape, each[()].tobytes()
    return held


def samples_without_times(path):
    """The bytes of a day file with its two time stamps blanked: all that two builds may differ in."""
    with h5py.File(path) as file:
        stamps = {file.attrs[stamp] for stamp in STAMPS}
    raw = Path(path).read_bytes()
    for stamp in stamps:
        raw = raw.replace(stamp.encode(), b"-" * len(stamp))
    return raw
