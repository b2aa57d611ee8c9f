"""Small trees of trend frames, as a night leaves them, and what an import of them left."""

import os
import shutil
import zlib
from pathlib import Path

import numpy as np
from framemake.gwf.write import Signal, write

from support import commands

NIGHT = 1148000400  # a full hour of GPS time
HOUR, TEN, MINUTE = 3600, 600, 60
IMPORTER = "import-streams"
# The channels of a random tree.
RANDOM = {"H0:PEM-EX_RAIN": "i4", "H0:PEM-EX_SEISX": "f4", "H0:PEM-LVEA_TILTX": "f8", "H0:X-Y_DQ": "f4"}


def trend(channel, start, interval, count, dtype="f4", rate=16, n=False, **how):
    """Signals .mean and .rms (and .n) of a channel: values that only channel and time decide, none of them zero.

    how: mean, rms: arrays to take instead; kind, there, valid, mask: as of gwf.write.Signal, for both.
    """
    seconds = start + interval * np.arange(count)
    seed = zlib.crc32(channel.encode()) % 997
    mean = 200 + 50 * np.sin(seconds / 5000.0 + seed) + (seconds // interval * 7919 + seed) % 13 * 0.37
    values = {"mean": mean, "rms": mean * 1.01 + 1}
    signals = []
    for ending in ("mean", "rms"):
        data = how.get(ending)
        data = values[ending].astype(dtype) if data is None else np.asarray(data)
        extra = {name: how[name] for name in ("kind", "there", "valid", "mask") if name in how}
        signals.append(Signal(f"{channel}.{ending}", data, 1 / interval, "counts", **extra))
    if n:
        signals.append(Signal(f"{channel}.n", np.full(count, interval * rate, "i4"), 1 / interval, "counts"))
    return signals


def path_of(root, start, fine=False, duration=None, site="H"):
    """Where the file of a trend and time belongs in the tree."""
    duration = duration or (TEN if fine else HOUR)
    letter, folder = ("T", "second-trend") if fine else ("M", "minute-trend")
    place = Path(root) / folder / {"H": "LHO", "L": "LLO"}[site]
    return place / f"{site}-{letter}-{start // 1_000_000}" / f"{site}-{letter}-{start}-{duration}.gwf"


def frame(root, start, channels, fine=False, duration=None, site="H", **how):
    """Write one file of the tree: channels is {name: dtype} or a list of Signals; its path."""
    path = path_of(root, start, fine, duration, site)
    span = duration or (TEN if fine else HOUR)
    interval = 1 if fine else MINUTE
    if isinstance(channels, dict):
        each = [trend(name, start, interval, span // interval, dtype, **how) for name, dtype in channels.items()]
        channels = [signal for signals in each for signal in signals]
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, [(start, span, channels)])
    return path


def multi_frame(path, frames):
    """Write a file of several frames: [(start, duration, signals)]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, frames)
    return path


def random_signals(chance, start, interval, count):
    """Signals of some of the channels with zeros, NaN and masked samples in them."""
    signals = []
    for name, dtype in RANDOM.items():
        if chance.random() < 0.1:
            continue
        mean, rms = (signal.data for signal in trend(name, start, interval, count, dtype))
        how = {}
        for _ in range(chance.choice((0, 0, 1, 3))):
            at = chance.choice((0, 1, count - 1, chance.randrange(count)))
            chance.choice((mean, rms))[at : at + chance.choice((1, 2, count))] = 0
        if dtype != "i4" and chance.random() < 0.2:
            chance.choice((mean, rms))[chance.randrange(count)] = chance.choice((np.nan, np.inf, -np.inf))
        if chance.random() < 0.1:
            how["mask"] = (np.arange(count) % 7 == 3).astype("u2")
        if chance.random() < 0.05:
            how["valid"] = 1
        signals += trend(name, start, interval, count, dtype, mean=mean, rms=rms, **how)
    return signals


def random_tree(root, chance):
    """Some hours with gaps, partly covered by second trend, with files of one trend that overlap."""
    paths = []
    for hour in range(5):
        start = NIGHT + hour * HOUR
        if chance.random() < 0.75:
            paths.append(frame(root, start, random_signals(chance, start, 60, 60)))
        for ten in range(6):
            at = start + ten * TEN
            if chance.random() < 0.3:
                paths.append(frame(root, at, random_signals(chance, at, 1, TEN), fine=True))
            if chance.random() < 0.1:
                at += 60 * chance.randrange(10)
                signals = random_signals(chance, at, 1, MINUTE)
                paths.append(frame(root, at, signals, fine=True, duration=MINUTE))
    if chance.random() < 0.4:
        start = NIGHT + chance.choice((1800, 3660, 4020))
        paths.append(frame(root, start, random_signals(chance, start, 60, 60)))
    return paths


def imported(root, streams):
    """Import a tree, in this process; nothing may be amiss."""
    from framemake.streams.intake import importer

    assert importer.run(str(root), str(streams)).faulty == [], errors(streams)


def commanded(root, streams, *more):
    """Import a tree by the command, which must go well; the one summary line that it says."""
    status, out, told = commands.run(IMPORTER, root, streams, *more)
    assert (status, out) == (0, ""), told
    assert told.count("\n") == 1
    return told


def contents(streams):
    """{name: bytes} of the stream files of a folder."""
    found = {}
    for name in sorted(os.listdir(streams)):
        if name.endswith((".bin", ".info")):
            found[name] = (Path(streams) / name).read_bytes()
    return found


def logged(streams):
    """The frame files that ligoimport.files names, in its order."""
    path = Path(streams) / "ligoimport.files"
    return [line for line in path.read_text().splitlines() if not line.startswith("#")] if path.exists() else []


def errors(streams):
    """The lines of ImportData.errors."""
    path = Path(streams) / "ImportData.errors"
    return path.read_text().splitlines() if path.exists() else []


def records(streams, name):
    """The records of a stream, as framemake's own store opens them."""
    from framemake.streams import store

    return store.open_stream(str(streams), name).records


def arrive(paths, source, tree):
    """Copy frame files of one tree to their places in another, with their times."""
    for path in paths:
        target = tree / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


CALLS = ("pwrite", "replace", "truncate", "unlink", "fsync", "copy_file_range")


def killed_at(call, tree, out):
    """Import in a process that dies just before one of the calls that change files; whether it did."""
    from framemake.streams.intake import importer

    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    count = 0

    def dying(real):
        def wrapped(*args, **options):
            nonlocal count
            count += 1
            if count == call:
                os._exit(9)
            return real(*args, **options)

        return wrapped

    for name in CALLS:
        setattr(os, name, dying(getattr(os, name)))
    try:
        importer.run(str(tree), str(out))
    finally:
        os._exit(0)
