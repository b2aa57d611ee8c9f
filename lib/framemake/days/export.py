"""Series handed on: samples, or what bins of them come to, as text or as files of other programs, piece by piece."""

import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from .. import files
from ..errors import BadInput
from . import bins, tables
from .series import Series, on_one_grid
from .tables import Batch, Column, Line

FORMS = (".csv", ".parquet", ".h5", ".gwf")
# Rows in memory at once, for each of which text is made.
_ROWS = 1 << 16


class Wanted:
    """What is wanted of Series over one span: their samples or, with `values` (see bins.VALUES), bins of them.

    every: seconds of a bin, or points: how many bins.  keep: spans in GPS seconds, if only samples in them count.
    Raises BadInput for values, or a number of bins, that there cannot be.
    """

    def __init__(
        self,
        many: Mapping[str, Series],
        every: float | None = None,
        points: int | None = None,
        values: Sequence[str] = (),
        keep: Sequence[tuple[float, float]] | None = None,
    ):
        self.many, self.values, self.keep = list(many.values()), list(values), keep
        first = self.many[0]
        self.start, self.end = first.start, first.end
        self.cut = bins.edges(self.start, self.end, every, points) if values else None
        self.dt = every or (self.end - self.start) / (points or 1)
        for value in values:
            if value not in bins.VALUES:
                raise BadInput(f"no such value, want {', '.join(bins.VALUES)}: {value!r}")

    def columns(self, series: Series) -> list[Column]:
        """The columns that a series comes to."""
        if self.cut is None:
            return [Column(series.name, "", series.unit, series.dtype.name)]
        units = {"count": ""}
        kinds = {"count": "int64"}
        # One value needs no word beside the channel's name, unless it is none of the usual.
        plain = self.values == ["mean"]
        return [
            Column(series.name, "" if plain else each, units.get(each, series.unit), kinds.get(each, "float64"))
            for each in self.values
        ]

    def all_columns(self) -> list[Column]:
        return [column for series in self.many for column in self.columns(series)]

    def batches(self) -> Iterator[Batch]:
        """Rows of all columns; BadInput if samples are wanted, and the channels are not on one grid."""
        if self.cut is not None:
            ways = [self._rows_of_bins(series) for series in self.many]
            at = 0
            while at < len(self.cut) - 1:
                stop = min(at + _ROWS, len(self.cut) - 1)
                yield (self.cut[at:stop], *(column for way in ways for column in way(at, stop)))
                at = stop
            return
        first = self.many[0]
        for other in self.many[1:]:
            if not on_one_grid(first, other):
                raise BadInput(
                    f"samples of different rates or grids, --every or --points makes rows of them: {first.name!r} "
                    f"and {other.name!r}"
                )
        for begin in range(0, len(first), _ROWS):
            stop = min(begin + _ROWS, len(first))
            times = first.time_of(begin) + np.arange(stop - begin) / first.rate
            if self.keep is None:
                yield (times, *(series.sliced(begin, stop) for series in self.many))
            else:
                there = bins.inside(first, begin, stop - begin, self.keep)
                if there.any():
                    yield (times[there], *(series.sliced(begin, stop)[there] for series in self.many))

    def _rows_of_bins(self, series):
        """A function of (first bin, last) that gives an array for each value; bins are asked for in order."""

        def rows(at, stop):
            parts = list(bins.binned(series, self.cut[at : stop + 1], self.values, self.keep))
            return [np.concatenate(column) for column in zip(*parts, strict=True)]

        return rows

    def lines(self) -> Iterator[Line]:
        """Each column at equal distances, one after another."""
        for series in self.many:
            if self.cut is None:
                yield Line(self.columns(series)[0], series.t0, series.dt, len(series), self._samples(series))
                continue
            for value, column in zip(self.values, self.columns(series), strict=True):
                found = (some[0] for some in bins.binned(series, self.cut, [value], self.keep))
                yield Line(column, self.start, self.dt, len(self.cut) - 1, found)

    def _samples(self, series):
        at = 0
        for piece in series.pieces():
            values = piece.values
            if self.keep is not None:
                values = np.where(bins.inside(series, at, len(values), self.keep), values, np.nan)
            yield values
            at += len(values)


def to_text(wanted: Wanted, form: str) -> Iterator[tuple[str, bool]]:
    """(text, whether there is a number in it) of one batch of rows after another; form: tsv, csv or json."""
    if form == "tsv":
        return tables.to_lines(wanted.batches())
    return (tables.to_csv if form == "csv" else tables.to_json)(wanted.all_columns(), wanted.batches())


def to_file(wanted: Wanted, path: str) -> bool:
    """Write a file of one of FORMS, as its end says, whole and at once; whether there is a number in it."""
    form = os.path.splitext(path)[1]
    if form not in FORMS:
        raise BadInput(f"no such form of file, want {', '.join(FORMS)}: {path!r}")
    if form == ".parquet":
        return tables.write_parquet(path, wanted.all_columns(), wanted.batches())
    if form == ".h5":
        return tables.write_hdf5(path, wanted.lines())
    if form == ".gwf":
        if wanted.cut is not None or wanted.keep is not None:
            raise BadInput(f"frames hold the samples as they are, not bins or segments of them: {path!r}")
        return tables.write_gwf(path, wanted.many, wanted.start, wanted.end)
    has_data = False
    with files.replacing(path) as aside, files.opened(aside, "w", encoding="utf-8", errors="surrogateescape") as out:
        for text, some in to_text(wanted, "csv"):
            with files.named(path):
                out.write(text)
            has_data |= some
    return has_data
