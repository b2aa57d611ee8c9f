#!/usr/bin/env python3
"""What each compression of days takes: size, and CPU to write and to read; beside filters that days do not have.

  python3 tests/bench/packed.py [--channels 60] [--runs 5] [--quick] [--work DIR]

The samples are a day of made-up trend at 1 Hz, written as day files are; where hdf5plugin is installed, its filters
pack the same chunks.  A row has the file's size in percent of the samples, and seconds of CPU a GB of samples: medians.
"""

import argparse
import contextlib
import os
import statistics
import sys
import time

from day import DAY, ROOT, in_folder, say, table, tell_machine, versions

sys.path.insert(0, os.path.join(ROOT, "lib"))

import framemake
import h5py
from framemake.day import layout
from framemake.frames import synthetic

TOTAL, CHUNK = 86400, 7200


def ways():
    """{what: a function of (group, name, samples) that writes a dataset}."""

    def ours(compression):
        def write(group, name, samples):
            dataset = layout.create(group, name, "float32", TOTAL, CHUNK, compression)
            for first in range(0, TOTAL, CHUNK):
                layout.write_chunk(dataset, (first,), samples[first : first + CHUNK], CHUNK, compression)

        return write

    def theirs(**how):
        def write(group, name, samples):
            group.create_dataset(name, data=samples, chunks=(CHUNK,), **how)

        return write

    found = {each: ours(each) for each in layout.COMPRESSIONS}
    with contextlib.suppress(ImportError):
        import hdf5plugin

        found["bitshuffle, LZ4"] = theirs(**hdf5plugin.Bitshuffle(cname="lz4"))
        found["bitshuffle, Zstandard 1"] = theirs(**hdf5plugin.Bitshuffle(cname="zstd", clevel=1))
        found["shuffle, Zstandard 3"] = theirs(shuffle=True, **hdf5plugin.Zstd(clevel=3))
    return found


def bench(work, args):
    tell_machine(versions(), args)
    maker, start = synthetic.Maker(), framemake.day_window(DAY).start
    channels = {f"V1:{at}": maker.samples(at, start, TOTAL).copy() for at in range(args.channels)}
    path, whole = os.path.join(work, "packed.h5"), 4 * TOTAL * len(channels)
    times = {what: ([], []) for what in ways()}
    sizes = {}
    for _ in range(args.runs):
        for what, write in ways().items():
            began = time.process_time()
            with h5py.File(path, "w", libver=("earliest", "v110")) as file:
                for name, samples in channels.items():
                    write(file, name, samples)
            written = time.process_time()
            with h5py.File(path) as file:
                got = [file[name][()] for name in channels]
            for into, taken in zip(times[what], (written - began, time.process_time() - written), strict=True):
                into.append(taken / whole * 1e9)
            assert all((one == other).all() for one, other in zip(got, channels.values(), strict=True)), what
            sizes[what] = os.path.getsize(path)
    say()
    rows = [
        [what, f"{100 * sizes[what] / whole:.0f} %", *(f"{statistics.median(each):.1f}" for each in times[what])]
        for what in times
    ]
    table(["compression", "size", "write, CPU s a GB", "read"], rows)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=60)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work")
    parser.add_argument("--quick", action="store_true", help="few channels, for a look whether it runs")
    args = parser.parse_args()
    if args.quick:
        args.channels, args.runs = 3, 1
    return args


if __name__ == "__main__":
    in_folder(bench, arguments())
