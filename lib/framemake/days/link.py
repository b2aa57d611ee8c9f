"""One HDF5 file for a range of days: every channel is a virtual dataset over the day files.

/channels/<name> has all samples of the range, 1-D, on the channel's one grid, NaN where no linked day has any; its
attributes, and those of the file, are as in a day file.  Not a sample is copied: HDF5 reads it out of the day file
(virtual datasets, HDF5 1.10 and later).  /provenance/links (JSON) says which day files are linked, by relative path,
size and mtime when they were, which days are not and why, and what was odd.

What follows from that, measured with HDF5 2.0:
- A day file's path is relative to the folder of this file, with links in this file's own path followed; the reader's
  working directory is looked into only if nothing is there.  So both move together, and a folder that has a day
  folder of the same name should not be where one reads from.  $HDF5_VDS_PREFIX (or the access property of that
  name), if a reader sets it, is looked into before.
- gwpy 4 opens a path that it is given as a Python file object, with which HDF5 can follow no path to another file:
  the read ends in an error.  Given the opened file it reads: TimeSeries.read(h5py.File(path), name, format="hdf5").
- A day file that is gone, or that may not be opened, reads as NaN without a word; so does one too many: a read of
  the whole range opens all its day files at once, and the usual limit of a process is 1,024 open files.  One that is
  damaged, or no longer has the channel, or has fewer samples, is an error of the read.
- A day that is built again is seen as it is now.  If its dtype has changed, HDF5 converts to the dtype that stands
  here: from float64 to float32 that rounds.  If its sample rate, grid or window has, its samples are at wrong times:
  link again, which takes seconds.  Size and mtime in /provenance/links tell whether a day has been.
"""

import collections
import json
import math
import os
import time
from typing import NamedTuple

import h5py
import numpy as np

from .. import cli, files, gps
from ..day import layout
from ..day.folder import COMPLETED, STATUSES
from ..errors import BadInput
from ..frames import catalog
from ..version import version
from . import plan, status

LINKS = "links"
# With the few that a reader has open anyhow, what fits into the usual limit of 1,024.
MOST_OPEN = 1000
_TYPES = {"float32": h5py.h5t.IEEE_F32LE, "float64": h5py.h5t.IEEE_F64LE}


class Source(NamedTuple):
    """A day file: its day, path, size in bytes, mtime in ns, the GPS window that it holds, and its increment in s."""

    day: str
    path: str
    size: int
    mtime: int
    window: gps.Window
    increment: int


class Kind(NamedTuple):
    """How a channel lies in a day file: rate in Hz, dtype, samples, seconds from the window's start to the first."""

    rate: float
    dtype: str
    total: int
    offset: float
    unit: str


class Piece(NamedTuple):
    """The first `count` of a day file's `held` samples; they are samples `first` and on of the range."""

    source: int
    first: int
    count: int
    held: int


class Series(NamedTuple):
    """A channel over the range.

    units: all that there are, the most frequent first.  t0: GPS time of sample 0.  pieces: in order of time.
    """

    channel: str
    rate: float
    dtype: str
    units: list
    t0: float
    total: int
    pieces: list

    @property
    def unit(self):
        return self.units[0]


def link(out, path, start=None, end=None, spec=None, split=False):
    """Write the file `path` that links the completed days of the folder `out`; returns what was odd, a line each.

    start, end: days, both included; without them, the first and the last that there is.  spec: which of several
    in `out`.  split: a channel whose rate, dtype or grid changes is written as one series for each, not left
    out.  Raises BadInput if there is nothing to link, or a day file is missing, damaged or none.
    """
    days = status.days_of(out, spec, start, end)
    specs = sorted({day.spec for day in days})
    if len(specs) > 1:
        raise BadInput(f"several SPECs, --spec says which ({', '.join(specs)}): {out!r}")
    if len(days) == 1:
        # Through a Python file object such a virtual dataset would be its own source, which HDF5 follows until it dies.
        raise BadInput(f"one day needs no link, its day file is the series: {(days[0].h5 or days[0].date)!r}")
    if os.path.isdir(path):
        raise BadInput(f"is a folder, want a file to write: {path!r}")
    done, told = _completed(days)
    if not done:
        raise BadInput(f"no completed day from {days[0].date} to {days[-1].date} in folder: {out!r}")
    if os.path.realpath(path) in {os.path.realpath(day.h5) for day in done}:
        raise BadInput(f"is a day file, and would be lost: {path!r}")
    if len(done) > MOST_OPEN:
        told.append(
            f"who reads it opens {len(done)} files at once: without 'ulimit -n {len(done) + 100}' it may see NaN"
        )
    range_ = gps.Window(gps.day_window(days[0].date).start, gps.day_window(days[-1].date).end)
    catalogue = _Catalogue()
    begun = time.monotonic()
    for number, day in enumerate(done, 1):
        catalogue.add(day)
        cli.progress(number, len(done), "days", begun)
    made, odd, units = _arrange(catalogue, range_, split)
    told += odd.values()
    told += units.values()
    if not made:
        raise BadInput("; ".join([f"no channel to link in {out!r}", *told[:3]]))
    links = {
        "version": version(),
        "ffl_spec": specs[0],
        "window": list(range_),
        "days": _records(catalogue.sources, out, path),
        "not_linked": {day.date: day.status for day in days if day.status != COMPLETED},
        "changes": odd,
        "unit_changes": units,
    }
    _write(path, catalogue.sources, range_, made, links)
    return told


def _completed(days):
    """Days to link, and lines on the others."""
    told = []
    for what in STATUSES:
        those = [day.date for day in days if day.status == what]
        if those and what != COMPLETED:
            told.append(f"left out as {what}, NaN: {plan.runs(those)}")
    return [day for day in days if day.status == COMPLETED], told


class _Catalogue:
    """What all day files have.  Names and kinds are held once: a row a day says which kind each channel is, -1 none."""

    def __init__(self):
        self.sources, self.names, self.kinds, self._rows = [], {}, {}, []

    def add(self, day):
        """Take in a day file; BadInput if it is none, or not what it says."""
        # Before it is read, so that one which is replaced meanwhile is seen to have changed.
        seen = os.stat(day.h5)
        window, increment, found = self._read(day)
        self.sources.append(Source(day.date, day.h5, seen.st_size, seen.st_mtime_ns, window, increment))
        row = np.full(len(self.names) + len(found), -1, dtype=np.int32)
        for name, kind in found.items():
            row[self.names.setdefault(name, len(self.names))] = self.kinds.setdefault(kind, len(self.kinds))
        self._rows.append(row[: len(self.names)].copy())

    def _read(self, day):
        """(window, increment, kinds by channel) of a day file, whose datasets are what its provenance says."""
        try:
            with h5py.File(day.h5, "r") as file:
                inputs = json.loads(file[layout.PROVENANCE]["inputs"][()])
                window, increment = gps.Window(*inputs["window"]), int(inputs["increment"])
                found = {
                    name: Kind(float(rate), dtype, total, round(t0 - window.start, 6), unit)
                    for name, (rate, dtype, total, t0, unit) in inputs["datasets"].items()
                }
                group = file[layout.CHANNELS]
                same = set(group) == set(found) and all(_is_of(group.id, *entry) for entry in found.items())
        except OSError as error:
            reason = " ".join(str(error).split())[:120]
            raise BadInput(f"day file cannot be read as HDF5: {day.h5!r}: {reason}") from None
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError):
            raise BadInput(f"not a day file of this project: {day.h5!r}") from None
        if not same:
            raise BadInput(f"day file holds other channels or samples than it says: {day.h5!r}")
        whole = gps.day_window(day.date)
        if not whole.start <= window.start < window.end <= whole.end:
            raise BadInput(f"day file holds GPS {window.start} to {window.end}, not of {day.date}: {day.h5!r}")
        return window, increment, found

    def channels(self):
        """(name, [(source, Kind)]) of each channel, by name."""
        table = np.full((len(self._rows), len(self.names)), -1, dtype=np.int32)
        for number, row in enumerate(self._rows):
            table[number, : len(row)] = row
        kinds = list(self.kinds)
        for name, at in sorted(self.names.items()):
            yield name, [(number, kinds[kind]) for number, kind in enumerate(table[:, at].tolist()) if kind >= 0]


def _is_of(group, name, kind):
    """Whether a dataset has this dtype and length."""
    dataset = h5py.h5d.open(group, name.encode())
    return dataset.shape == (kind.total,) and dataset.get_type().equal(_TYPES[kind.dtype])


def _arrange(catalogue, range_, split):
    """(series by name, lines on what changes by channel, lines on units that change by channel)."""
    made, odd, units = {}, {}, {}
    for channel, members in catalogue.channels():
        found = [_series(channel, group, catalogue.sources, range_) for group in _by_grid(members, catalogue.sources)]
        if len(found) == 1:
            names = [channel]
        else:
            names = _split_names(found, range_)
            what = ", ".join(f"{_name(s, range_)} ({_days(s.pieces)})" for s in found)
            odd[channel] = f"changes, {'split' if split else 'left out'}: {channel!r}: {what}"
            if not split:
                continue
        for name, series in zip(names, found, strict=True):
            if name in made or (name != channel and name in catalogue.names):
                raise BadInput(f"two channels would have one name: {name!r}")
            made[name] = series
            if len(series.units) > 1:
                units[name] = f"unit changes, kept {series.unit!r} of {', '.join(map(repr, series.units))}: {name!r}"
    return made, odd, units


def _tolerance(rate):
    """Samples by which times on one grid may differ: as in the day file, and what its t0 was rounded by."""
    return 1e-3 + 1e-6 * rate


def _by_grid(members, sources):
    """Members of a channel by what can be one series: same rate, dtype and grid.  A list of lists, in order of time."""
    groups = []
    for number, kind in members:
        for group in groups:
            first, like = group[0]
            if (kind.rate, kind.dtype) == (like.rate, like.dtype):
                apart = (_t0(sources[number], kind) - _t0(sources[first], like)) * kind.rate
                if abs(apart - round(apart)) < _tolerance(kind.rate):
                    group.append((number, kind))
                    break
        else:
            groups.append([(number, kind)])
    return groups


def _t0(source, kind):
    return source.window.start + kind.offset


def _series(channel, members, sources, range_):
    """The Series of members on one grid, which begins with the grid's first time in the range."""
    number, like = members[0]
    rate, near, reference = like.rate, _tolerance(like.rate), _t0(sources[number], like)
    before = math.floor((reference - range_.start) * rate + near)
    t0 = round(reference - before / rate, 6)
    pieces, reached = [], 0
    for number, kind in members:
        first = round((_t0(sources[number], kind) - reference) * rate) + before
        if first < reached:
            # The last of round(duration * rate) samples can have the time of the next day's first, which counts.
            if first < reached - 1:
                raise BadInput(f"samples of {channel!r} overlap those of the day before: {sources[number].path!r}")
            pieces[-1] = pieces[-1]._replace(count=pieces[-1].count - 1)
        pieces.append(Piece(number, first, kind.total, kind.total))
        reached = first + kind.total
    total = max(reached, math.ceil((range_.end - t0) * rate - near))
    counts = collections.Counter(kind.unit for _, kind in members)
    units = sorted(counts, key=lambda unit: (-counts[unit], unit))
    return Series(channel, rate, like.dtype, units, t0, total, pieces)


def _split_names(found, range_):
    """NAME@RATE-DTYPE of each, with the shift of the grid, in samples, where that alone tells them apart."""
    plain = [f"{s.channel}@{catalog.number(s.rate)}-{s.dtype}" for s in found]
    return [
        name if plain.count(name) == 1 else f"{name}+{_shift(series, range_):g}"
        for name, series in zip(plain, found, strict=True)
    ]


def _shift(series, range_):
    return round((series.t0 - range_.start) * series.rate, 6)


def _name(series, range_):
    shift = _shift(series, range_)
    return f"{series.dtype} at {series.rate:g} Hz" + (f" shifted by {shift:g} samples" if shift else "")


def _days(pieces):
    return f"{len(pieces)} day" + ("" if len(pieces) == 1 else "s")


def _records(sources, out, path):
    """What is told of each day file: day, path as it is linked, size in bytes, mtime in ns, GPS window."""
    base = _relative(out, path)
    return [
        {
            "day": source.day,
            "path": os.path.normpath(os.path.join(base, os.path.relpath(source.path, out))),
            "size_bytes": source.size,
            "mtime_ns": source.mtime,
            "window": list(source.window),
        }
        for source in sources
    ]


def _relative(out, path):
    """How the folder of `path` leads to `out`: by links as they were given, or followed, whichever climbs less."""
    folder = os.path.dirname(os.path.realpath(path))
    ways = [os.path.relpath(way, folder) for way in (os.path.abspath(out), os.path.realpath(out))]
    # A way of names alone can go wrong where '..' follows a link; the other cannot.
    there = os.path.join(folder, ways[0])
    good = ways if os.path.exists(there) and os.path.samefile(there, out) else ways[1:]
    return min(good, key=lambda way: way.split(os.sep).count(os.pardir))


def _write(path, sources, range_, made, links):
    paths = [os.fsencode(day["path"]) for day in links["days"]]
    increments = collections.Counter(source.increment for source in sources)
    with files.replacing(path) as aside, h5py.File(aside, "w", libver=("earliest", "v110")) as file:
        group = file.create_group(layout.CHANNELS)
        begun = time.monotonic()
        for number, (name, series) in enumerate(made.items(), 1):
            dataset = h5py.Dataset(_create(group.id, name, series, paths))
            dataset.attrs["channel"] = series.channel
            dataset.attrs["sample_rate"] = series.rate
            dataset.attrs["unit"] = series.unit
            dataset.attrs["t0"] = series.t0
            cli.progress(number, len(made), "channels", begun)
        file.create_group(layout.PROVENANCE)[LINKS] = np.bytes_(json.dumps(links).encode())
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        file.attrs["start_dt"] = gps.utc(range_.start)
        file.attrs["end_dt"] = gps.utc(range_.end)
        file.attrs["created_utc"] = now
        file.attrs["increment_size"] = increments.most_common(1)[0][0]
        file.attrs["dama_name"] = os.path.splitext(os.path.basename(path))[0]
        file.attrs["time_stamp"] = now


def _create(group, name, series, paths):
    """A virtual dataset, through h5py's low-level objects: VirtualLayout takes ten times as long."""
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_fill_value(np.array(np.nan, dtype=series.dtype))
    made.set_obj_track_times(False)
    there = _escaped(f"/{layout.CHANNELS}/{series.channel}".encode())
    space = h5py.h5s.create_simple((series.total,))
    # Whole day files first: through a Python file object the first that is read is this file itself, and a whole one
    # is then an error (see the head), where HDF5 would follow a part of one until it dies.
    for piece in sorted(series.pieces, key=lambda piece: piece.count < piece.held):
        space.select_hyperslab((piece.first,), (1,), None, (piece.count,))
        source = h5py.h5s.create_simple((piece.held,))
        if piece.count < piece.held:
            source.select_hyperslab((0,), (1,), None, (piece.count,))
        made.set_virtual(space, _escaped(paths[piece.source]), there, source)
    space.select_all()
    return h5py.h5d.create(group, name.encode(), _TYPES[series.dtype], space, made)


def _escaped(name):
    """A % in the name of a source begins a pattern (H5Pset_virtual); two stand for one."""
    return name.replace(b"%", b"%%")
