"""Pictures of values against time: an envelope and a mean a curve, segments under them, as PNG, SVG or PDF.

A curve is points of equal length in time.  Where a point holds several samples its least and greatest are a band, so
that what is short is seen however long the picture is.  Time is UTC, as people read it; where a point has no data the
curve is broken.
"""

import logging
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import files, gps
from ..errors import BadInput
from . import bins
from .series import Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Span = tuple[float, float]
FORMS = (".png", ".svg", ".pdf")
# Points across, which are a pixel or more each.
POINTS = 1000
MOST = 12
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
# A point of light between two curves would be lost: panels are so high, in inches.
_WIDE, _HIGH, _STRIP = 11.0, 2.1, 0.22


class Curve(NamedTuple):
    """What is drawn of a channel or stream: arrays, an element a point, NaN where there is no data.

    cut: GPS seconds where the points begin, and the last ends, one more than there are points.  middle: what the line
    shows; least, most: the band, or None for none.  line: what the line is, as 'mean'.
    """

    name: str
    unit: str
    line: str
    cut: np.ndarray
    middle: np.ndarray
    least: np.ndarray | None = None
    most: np.ndarray | None = None

    def has_data(self) -> bool:
        return bool(np.isfinite(self.middle).any())


def of_series(series: Series, points: int = POINTS, keep: Sequence[Span] | None = None) -> Curve:
    """The Curve of a Series: each sample if there are no more than points, else bins of equal length.

    keep: the spans in GPS seconds, in order, whose samples are drawn, if not all are.
    """
    count = min(points, max(1, len(series)))
    cut = bins.edges(series.start, series.end, points=count)
    parts = list(bins.binned(series, cut, ("mean", "min", "max"), keep))
    mean, least, most = (np.concatenate(each).astype(np.float64) for each in zip(*parts, strict=True))
    return Curve(series.name, series.unit, "mean", cut, mean, least, most)


def check(path: str) -> None:
    """BadInput for a path that is no name of a picture, before anything is read for it."""
    if os.path.splitext(path)[1].lower() not in FORMS:
        raise BadInput(f"no such form of picture, want {', '.join(FORMS)}: {path!r}")
    if os.path.isdir(path):
        raise BadInput(f"is a folder, want a file to write: {path!r}")


def save(
    path: str,
    curves: Sequence[Curve],
    span: Span,
    segments: tuple[str, Sequence[Span]] | None = None,
    log: bool = False,
) -> None:
    """Write the picture of some curves, a panel each, over a span of GPS seconds; segments: (name, spans), below them.

    The form is that of the path's ending, see FORMS.  BadInput for another, or for more than MOST curves.
    """
    check(path)
    if not 1 <= len(curves) <= MOST:
        raise BadInput(f"from 1 to {MOST} in one picture: {len(curves)}")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        # A name may have characters for which there is no glyph: a box is drawn.
        warnings.simplefilter("ignore")
        # Text stays text in SVG, and the same picture has the same bytes.
        matplotlib.rcParams.update({
            "font.size": 9, "text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "framemake",
            "pdf.fonttype": 42,
        })  # fmt: skip
        drawn = figure(curves, span, segments, log)
        form = os.path.splitext(path)[1].lower()[1:]
        title = f"{curves[0].name}, {_utc(span[0])} to {_utc(span[1])}"
        metadata = {"Title": "".join(each if each.isprintable() else "?" for each in title)}
        if form != "png":
            metadata["CreationDate" if form == "pdf" else "Date"] = None  # type: ignore[assignment]
        with files.replacing(path) as aside:
            drawn.savefig(aside, format=form, dpi=110, metadata=metadata)


def figure(
    curves: Sequence[Curve], span: Span, segments: tuple[str, Sequence[Span]] | None = None, log: bool = False
) -> "Figure":
    """The picture as a matplotlib figure, in the present settings: axes labelled by the curves' names, and 'segments'.

    Across is UTC time, as matplotlib's dates.
    """
    from matplotlib import dates
    from matplotlib.figure import Figure

    heights = [_HIGH] * len(curves) + ([_STRIP] if segments else [])
    made = Figure(figsize=(_WIDE, sum(heights) + 1.0), layout="constrained")
    grid = made.add_gridspec(len(heights), 1, height_ratios=heights)
    clock = _Clock(*span)
    low, high = clock.of(np.array(span))
    axes = None
    for at, curve in enumerate(curves):
        axes = made.add_subplot(grid[at], label=curve.name, sharex=axes)
        _draw(axes, curve, clock, _COLOURS[at % len(_COLOURS)], log)
    assert axes is not None
    if segments:
        name, spans = segments
        axes = made.add_subplot(grid[-1], label="segments", sharex=axes)
        cut = clock.of(np.array([each for each in spans if each[1] > span[0] and each[0] < span[1]]).reshape(-1, 2))
        axes.broken_barh([(a, b - a) for a, b in cut], (0, 1), color="#0072b2")
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        axes.set_title(f"segments: {_plain(name)}", loc="left", fontsize=8)
    for each in made.axes[:-1]:
        each.tick_params(labelbottom=False)
    # What is short at one of the ends would lie under the frame.
    axes.set_xlim(low - 0.004 * (high - low), high + 0.004 * (high - low))
    locator = dates.AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    begin, end = (f"{_utc(time)} (GPS {time:.16g})" for time in span)
    axes.set_xlabel(f"UTC, from {begin} to {end}")
    return made


def _draw(axes, curve, clock, colour, log):
    edges = clock.of(curve.cut)
    # A step is drawn over the whole of its point: what has no data beside it is seen as well.
    across = np.repeat(edges, 2)[1:-1]
    if curve.least is not None and curve.most is not None:
        least, most = np.repeat(curve.least, 2), np.repeat(curve.most, 2)
        # With an edge: what is short would be a band of no width.
        axes.fill_between(across, least, most, color=colour, alpha=0.3, linewidth=0.6, label="min to max")
    axes.plot(across, np.repeat(curve.middle, 2), color=colour, linewidth=0.9, label=curve.line)
    axes.set_title(_plain(curve.name), loc="left", fontsize=9)
    axes.set_ylabel(_plain(curve.unit) or "no unit")
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    if log:
        axes.set_yscale("log", nonpositive="mask")
    every = (curve.cut[-1] - curve.cut[0]) / len(curve.middle)
    band = "" if curve.least is None else "; band: min to max"
    axes.set_title(f"line: {curve.line}{band}; one point = {_length(every)}", loc="right", fontsize=8, color="0.35")
    if not curve.has_data():
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center")


class _Clock:
    """matplotlib's dates of GPS seconds in a span: days of UTC, in which a leap second is the second before it."""

    def __init__(self, start: float, end: float):
        self._offsets = gps.unix_offsets(start, end)

    def of(self, times: np.ndarray) -> np.ndarray:
        starts = np.array([start for start, _ in self._offsets])
        offsets = np.array([offset for _, offset in self._offsets])
        return (times + offsets[np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)]) / 86400


def _plain(text):
    return "".join(each if each.isprintable() else "?" for each in text)


def _utc(time):
    return gps.utc(time).replace("T", " ")


def _length(seconds):
    if seconds < 120:
        return f"{seconds:.4g} s"
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit or unit == 60:
            return f"{seconds / unit:.3g} {name}"
    raise AssertionError
