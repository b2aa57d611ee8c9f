"""Rows of a time and numbers, some at a time, as text: TSV, CSV and JSON; and as files of other programs.

What is written is given in batches, so it is never in memory as a whole: a batch is (times, column, ...), arrays of one
length, a GPS second and a number for each column a row, NaN where there is none.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import files, gps
from ..errors import BadInput
from ..frames.catalog import number

Batch = tuple[np.ndarray, ...]
# Seconds of a frame, or more where samples are rare; samples of an HDF5 chunk.
_FRAME, _CHUNK = 3600, 1 << 16


class Column(NamedTuple):
    """A column: the channel, what of it ('' for the samples themselves), its unit, and dtype."""

    channel: str
    value: str
    unit: str
    dtype: str

    @property
    def title(self) -> str:
        return f"{self.channel} {self.value}" if self.value else self.channel


def to_lines(batches: Iterable[Batch]) -> Iterator[tuple[str, bool]]:
    """Of each batch: (lines of time and numbers, tab-separated, nan for none; whether there is a number in it)."""
    for times, *columns in batches:
        texts = [[repr(value) for value in column.tolist()] for column in columns]
        clock = [number(time) for time in times.tolist()]
        yield "".join("\t".join(row) + "\n" for row in zip(clock, *texts, strict=True)), _has_number(columns)


def to_csv(columns: Sequence[Column], batches: Iterable[Batch]) -> Iterator[tuple[str, bool]]:
    """The same as CSV: a head, then UTC, GPS and numbers, empty for none.  UTC is told to the microsecond."""
    yield ",".join(["utc", "gps", *(_field(column.title) for column in columns)]) + "\n", False
    for times, *held in batches:
        texts = [["" if value != value else repr(value) for value in column.tolist()] for column in held]
        clock = [number(time) for time in times.tolist()]
        rows = zip(utc_texts(times), clock, *texts, strict=True)
        yield "".join(",".join(row) + "\n" for row in rows), _has_number(held)


def to_json(columns: Sequence[Column], batches: Iterable[Batch]) -> Iterator[tuple[str, bool]]:
    """The same as one JSON object: `columns`, objects with channel, value and unit; `rows`, lists of a GPS second and
    the numbers, null for none, and for infinity, which JSON does not have."""
    heads = [{"channel": column.channel, "value": column.value, "unit": column.unit} for column in columns]
    yield f'{{"columns": {json.dumps(heads)}, "rows": [', False
    between = "\n"
    for times, *held in batches:
        values = [[value if value - value == 0 else None for value in column.tolist()] for column in held]
        rows = zip((int(time) if time == int(time) else time for time in times.tolist()), *values, strict=True)
        text = ",\n".join(json.dumps(row) for row in rows)
        yield (between + text if text else ""), _has_number(held)
        between = ",\n" if text else between
    yield "\n]}\n", False


def _has_number(columns):
    return any(column.dtype.kind != "f" or not np.isnan(column).all() for column in columns if len(column))


def _field(text):
    """A field of a CSV, quoted where it has to be."""
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text


def utc_texts(times: np.ndarray) -> list[str]:
    """ISO UTC of GPS seconds in order, with the fraction of a second, if there is one, to the microsecond."""
    if not len(times):
        return []
    micro = np.round((times - times[0]) * 1e6).astype(np.int64) + round((times[0] - int(times[0])) * 1e6)
    offsets = gps.unix_offsets(times[0], times[-1])
    second, whole = int(times[0]), not (micro % 1_000_000).any()
    starts = np.array([round((start - second) * 1e6) for start, _ in offsets])
    part = np.searchsorted(starts, micro, side="right") - 1
    found = micro + np.array([offset for _, offset in offsets])[np.maximum(part, 0)] * 1_000_000
    texts = np.datetime_as_string(
        np.datetime64(second, "s") + found.astype("timedelta64[us]"), unit="s" if whole else "us"
    ).tolist()
    # numpy does not know a leap second, of which clocks show the one before it.
    for start in starts[1:].tolist():
        for at in range(*np.searchsorted(micro, (start, start + 1_000_000)).tolist()):
            texts[at] = f"{texts[at][:17]}60{texts[at][19:]}"
    return texts if whole else [text.rstrip("0").rstrip(".") for text in texts]


# --- files of other programs -------------------------------------------------------------


def write_parquet(path: str, columns: Sequence[Column], batches: Iterable[Batch]) -> bool:
    """Write a Parquet file: `utc` (timestamps), `gps` and a column each, null for none; whether it has a number."""
    import pyarrow
    from pyarrow import parquet

    names = ["utc", "gps", *(column.title for column in columns)]
    kinds = [pyarrow.timestamp("us", tz="UTC"), pyarrow.float64()]
    kinds += [pyarrow.from_numpy_dtype(np.dtype(column.dtype)) for column in columns]
    notes = [{}, {"unit": "s"}, *({"channel": c.channel, "value": c.value, "unit": c.unit} for c in columns)]
    fields = [pyarrow.field(*each) for each in zip(names, kinds, [True] * len(names), notes, strict=True)]
    schema, any_number = pyarrow.schema(fields), False
    with files.replacing(path) as aside, parquet.ParquetWriter(aside, schema) as out:
        for times, *held in batches:
            utc = pyarrow.array(clock_micros(times), pyarrow.int64()).cast(kinds[0])
            arrays = [utc, pyarrow.array(times), *(pyarrow.array(column, from_pandas=True) for column in held)]
            out.write_table(pyarrow.table(arrays, schema=schema))
            any_number |= _has_number(held)
    return any_number


def clock_micros(times: np.ndarray) -> np.ndarray:
    """Microseconds since 1970 that clocks show at GPS seconds in order: int64."""
    if not len(times):
        return np.empty(0, dtype=np.int64)
    offsets = gps.unix_offsets(times[0], times[-1])
    at = np.searchsorted([time for time, _ in offsets], times, side="right") - 1
    return np.round(times * 1e6).astype(np.int64) + np.array([offset for _, offset in offsets])[at] * 1_000_000


class Line(NamedTuple):
    """Numbers at equal distances: a column, GPS time of the first, the distance in s, how many, and some at a time."""

    column: Column
    t0: float
    dt: float
    total: int
    pieces: Iterable[np.ndarray]


def write_hdf5(path: str, lines: Iterable[Line]) -> bool:
    """Write an HDF5 file as gwpy has it: a dataset for each column with x0, dx, unit; whether it has a number.

    gwpy reads it: TimeSeries.read(path, NAME), TimeSeriesDict.read(path).
    """
    import h5py

    any_number = False
    # Of this version all that HDF5 itself notes has checksums.
    with files.replacing(path) as aside, h5py.File(aside, "w", libver=("v110", "v110")) as file:
        for line in lines:
            # Other programs than h5py, as MATLAB, know gzip alone.
            packed = {"chunks": (min(_CHUNK, max(1, line.total)),), "compression": "gzip", "compression_opts": 1}
            packed.update(shuffle=True, fletcher32=True)
            name = f"{line.column.channel}.{line.column.value}" if line.column.value else line.column.channel
            kind = np.dtype(line.column.dtype)
            packed["fillvalue"] = np.nan if kind.kind == "f" else 0
            dataset, at = file.create_dataset(name, (line.total,), kind, **packed), 0
            for piece in line.pieces:
                dataset[at : at + len(piece)] = piece
                at += len(piece)
                any_number |= _has_number([piece])
            notes = {"name": name, "channel": line.column.channel, "unit": line.column.unit, "xunit": "s"}
            dataset.attrs.update(**notes, x0=line.t0, dx=line.dt)
    return any_number


def write_gwf(path: str, many: Sequence[Any], start: float, end: float) -> bool:
    """Write the samples of Series of one span as frames; whether there is a number.  NaN is written as NaN.

    A frame has 3600 s, or more where samples are rare.  Raises BadInput if the span is not of whole seconds.
    """
    from ..gwf.write import Signal, write_each

    if start != int(start) or end != int(end):
        raise BadInput(f"frames begin and end on whole GPS seconds: {start!r} to {end!r}")
    length = max(_FRAME, *(int(np.ceil(10 / series.rate)) for series in many))
    # No short frame at the end: it could be without a sample.
    begins = [int(start) + k * length for k in range(max(1, int(end - start) // length))]
    found = [False]

    def frames():
        for begin, stop in zip(begins, [*begins[1:], int(end)], strict=True):
            signals = []
            for series in many:
                a, b = series.number_at(begin), series.number_at(stop)
                if a == b:
                    raise BadInput(f"a frame without a sample, the span is too short: {series.name!r}")
                data = series.sliced(a, b)
                found[0] |= not np.isnan(data).all()
                offset = round(series.time_of(a) - begin, 6)
                signals.append(Signal(series.name, data, series.rate, series.unit, "proc", offset=offset))
            yield begin, stop - begin, signals

    write_each(os.fspath(path), frames())
    return found[0]
