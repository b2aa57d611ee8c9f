"""The floor of a day: each frame vector decoded once with gwframe, the same HDF5 written with h5py, on all cores.

  floor.py FOLDER CHANNELS START SECONDS OUT

Each process decodes its share of the channels over all frames and writes them with the chunks, filters and
attributes of the day file; a last file links them under one /channels.  It knows the frames, channels, rate
and dtype beforehand, masks nothing, checks nothing, records nothing: less work does not make a day.  Of short
frames, one that lies on a cut between two windows of time is decoded twice (one or two of 865).

Tried, and no faster: no chunk cache, the latest HDF5 format, fewer channels at once, other malloc settings.
"""

import glob
import os
import sys
from multiprocessing import Process

os.environ["OPENBLAS_NUM_THREADS"] = "1"
import h5py
import numpy as np
from gwframe import _core

# Channels decoded at once: what fits in memory, or, where a frame is short, all of them for some time.
MEMORY = 96e6
# Datasets and attributes through low-level objects: 5 % of the whole less than through create_dataset.
SCALAR = h5py.h5s.create(h5py.h5s.SCALAR)
TEXT = h5py.h5t.py_create(h5py.string_dtype(), logical=True)


def share(paths, names, start, seconds, out):
    """Write the channels `names` over [start, start + seconds) to `out`; 1 Hz, float32."""
    with h5py.File(out, "w") as file:
        group = file.create_group("channels")
        datasets = {}
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((7200,))
        properties.set_fill_value(np.array(np.nan, dtype="f4"))
        properties.set_obj_track_times(False)
        properties.set_shuffle()
        properties.set_filter(h5py.h5z.FILTER_LZF, h5py.h5z.FLAG_OPTIONAL)
        space, kind = h5py.h5s.create_simple((seconds,)), h5py.h5t.py_create(np.dtype("f4"))
        for name in names:
            made = h5py.h5d.create(group.id, name.encode(), kind, space, properties)
            for key, value in ((b"channel", name), (b"unit", "V"), (b"sample_rate", 1.0), (b"t0", float(start))):
                text = isinstance(value, str)
                attribute = h5py.h5a.create(made, key, TEXT if text else h5py.h5t.NATIVE_DOUBLE, SCALAR)
                attribute.write(np.array(value, dtype=object if text else "f8"))
            datasets[name] = h5py.Dataset(made)
        length = float(os.path.basename(paths[0])[:-4].split("-")[-1])
        if length < 3600:
            # Short frames: some hours of all channels, each file opened once.
            chunks = max(1, int(MEMORY / len(names) / 4 / 7200))
            for first in range(0, seconds, chunks * 7200):
                span = min(chunks * 7200, seconds - first)
                write(datasets, decode(paths, names, start + first, span), names, first, span)
        else:
            # Long frames: some channels of the whole day; files stay open.
            each = max(1, int(MEMORY / seconds / 4))
            streams = {}
            for at in range(0, len(names), each):
                some = names[at : at + each]
                write(datasets, decode(paths, some, start, seconds, streams), some, 0, seconds)


def decode(paths, names, start, seconds, streams=None):
    data = np.full((len(names), seconds), np.nan, dtype="f4")
    for path in paths:
        _, _, begin, length = os.path.basename(path)[:-4].split("-")
        begin, length = int(begin), int(length)
        a, b = max(begin, start), min(begin + length, start + seconds)
        if a >= b:
            continue
        stream = streams.get(path) if streams else None
        if stream is None:
            stream = _core.IFrameFStream(path)
            if streams is not None:
                streams[path] = stream
        for row, name in enumerate(names):
            channel = stream.read_fr_adc_data(0, name)
            vector = channel.get_data_vector(0)
            data[row, a - start : b - start] = vector.get_data_uncompressed()[a - begin : b - begin]
    return data


def write(datasets, data, names, first, span):
    for row, name in enumerate(names):
        datasets[name][first : first + span] = data[row]


def main(folder, channels, start, seconds, out):
    paths = sorted(glob.glob(os.path.join(folder, "*.gwf")))
    with open(channels, encoding="utf-8") as lines:
        names = lines.read().split()
    start, seconds = int(start), int(seconds)
    cores = len(os.sched_getaffinity(0))
    workers = []
    for core in range(cores):
        mine = names[core * len(names) // cores : (core + 1) * len(names) // cores]
        workers.append(Process(target=share, args=(paths, mine, start, seconds, f"{out}.{core}")))
        workers[-1].start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            sys.exit(1)
    with h5py.File(out, "w") as file:
        group = file.create_group("channels")
        for core in range(cores):
            part = f"{out}.{core}"
            with h5py.File(part, "r") as written:
                for name in written["channels"]:
                    group[name] = h5py.ExternalLink(os.path.basename(part), f"/channels/{name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
