"""How days stand, as a picture: a row a day, the time of day across, shaded by how many channels have data.

It shows what is in the day folders: states, channels_coverage.json and, for where the characters of its masks lie, the
frames of summary.json, or of the day file where a site wants no summary.  A mask says of each frame file whether it
gave a channel any sample.  So a shorter gap shows in the percentage beside the row, and not in its shade.

Where things lie: a day is row_height(days) pixels high, and its pixels are those of row_box(number, days).  Across they
are COLUMNS, two minutes each, so nothing is resampled.  The colour of a part of the channels is that of shades(), a day
without a shade has the hatch of hatch(words), and the key below says so.  The axes of figure() have the labels 'days',
'samples' and 'channels' (numbers beside the days), 'words' (beside days that are too thin to hold them) and 'key'.
"""

import itertools
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import files, gps
from ..day.folder import COMPLETED, FAILED, INTERRUPTED, MISSING, STATUSES, Folder
from ..errors import BadInput, wording
from ..frames import catalog
from . import status

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

# Columns of the picture, a pixel each.
COLUMNS = 720
MOST_DAYS = 20_000
_DPI = 100
_LEFT, _TOP, _BOTTOM, _BESIDE, _GAP = 92, 98, 112, 120, 36
# Pixels at the right edge: for half a number, or for words beside days that are too thin to hold them.
_RIGHT, _WORDS = 40, 230
# Pixels: the least height of a row that holds words, and from one line of words to the next.
_ROOM, _LINE = 14, 12
_DARK, _OUTSIDE, _BAR = "0.15", "0.8", "#9ecae1"
_UNKNOWN, _EMPTY = "coverage not known", "no channel has a sample"
_HATCHES = {MISSING: "///", FAILED: "xxx", INTERRUPTED: "+++", _UNKNOWN: "\\\\\\"}
_OTHER_HATCH = "..."


class Row(NamedTuple):
    """A day of the picture.

    words: what is said instead of a shade; '' for a completed day.  shade: float array (COLUMNS), see shade().
    coverage: part of the samples that are not NaN, 0 to 1.  channels: how many the day file has.  requested: how many
    were asked for.  What is not known is None.
    """

    date: str
    words: str
    shade: np.ndarray | None = None
    coverage: float | None = None
    channels: int | None = None
    requested: int | None = None


def plot(
    out: str,
    path: str,
    first: str | None = None,
    last: str | None = None,
    spec: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Write the picture of the days in the folder `out` to `path`, a PNG; returns what was odd, a line each.

    first, last: days, both included; without them, the first and the last that there is.  spec: which of several
    in `out`.  progress: called with how many of all days were read.  Raises BadInput if there is no day, no such folder
    or range, or `path` is no name of a PNG file.
    """
    if not path.lower().endswith(".png"):
        raise BadInput(f"the picture is a PNG, want FILE.png: {path!r}")
    if os.path.isdir(path):
        raise BadInput(f"is a folder, want a file to write: {path!r}")
    days = status.days_of(out, spec, first, last)
    specs = sorted({day.spec for day in days})
    if len(specs) > 1:
        raise BadInput(f"several SPECs, --spec says which ({', '.join(specs)}): {out!r}")
    if len(days) > MOST_DAYS:
        raise BadInput(f"too many days for a picture, at most {MOST_DAYS}: {days[0].date!r} to {days[-1].date!r}")
    rows, odd = [], []
    for number, day in enumerate(days):
        progress(number, len(days))
        row, problem = row_of(day)
        rows.append(row)
        odd += [problem] if problem else []
    progress(len(days), len(days))
    save(path, rows, _titles(days))
    return odd


# --- what the days' files say ------------------------------------------------------------


def row_of(day: status.DayStatus) -> tuple[Row, str]:
    """The Row of a day, and a line that says why its coverage cannot be read, or ''."""
    if day.status != COMPLETED or day.h5 is None:
        return Row(day.date, day.status), ""
    try:
        path = Folder.holding(day.h5).coverage
        with files.opened(path, encoding="utf-8") as source:
            covered = list(json.load(source).values())
        window, slots = _slots(day, len(covered[0]["gwf_mask"]) if covered else 0)
        shaded = shade([entry["gwf_mask"] for entry in covered], slots, window, gps.day_window(day.date).start)
        samples = sum(entry["total_samples"] for entry in covered)
        good = sum(entry["non_nan_samples"] for entry in covered)
    except (OSError, BadInput, ValueError, KeyError, TypeError, AttributeError) as error:
        why = " ".join(wording(error).split())[:200]
        problem = f"the coverage of a completed day cannot be read: {day.date!r}: {why}"
        return Row(day.date, _UNKNOWN), problem
    part = good / samples if samples else 0.0
    return Row(day.date, "" if good else _EMPTY, shaded, part, len(covered), day.requested), ""


def _slots(day, characters):
    """(Window, catalog.slots) of a completed day: the masks have a character for each slot, so many."""
    try:
        path = Folder.holding(day.h5).summary
        with files.opened(path, encoding="utf-8") as source:
            summarized = json.load(source)
    except FileNotFoundError:
        from ..day import dayfile

        with dayfile.open_day(day.h5) as made:
            return made.window, made.slots()
    window = gps.Window(summarized["start_gps"], summarized["end_gps"])
    if "provenance" not in summarized and characters:
        # The converter before this project takes all frame files to be equally long.
        step = window.duration / characters
        return window, [(window.start + n * step, window.start + (n + 1) * step, None) for n in range(characters)]
    listed = [
        # A file that could not be read has a slot, as those that are used.
        catalog.Frame(
            frame["path"], frame["gps_start"], frame["duration"], -1, -1,
            catalog.USED if frame["status"] == "unreadable" else frame["status"],
        )
        for frame in summarized["provenance"]["frames"]
    ]  # fmt: skip
    return window, catalog.slots(listed, window)


def shade(masks: Sequence[str], slots: Sequence, window: tuple[int, int], midnight: int) -> np.ndarray:
    """The part of the channels that have data over a day, as a float array (COLUMNS), 0 to 1.

    masks: a text for each channel, with a character for each slot, '1' where the channel has data.  slots: GPS s of
    beginning and end first, as catalog.slots gives them.  window: the GPS s of the day that were asked for; a column
    outside of it is NaN.  midnight: GPS s at which the day begins.

    A column has the least part of the two minutes, so that no gap is too short to be seen.  Where frame files overlap,
    a channel has data if either gave any.  The last column holds a leap second as well.  ValueError if masks and slots
    are not of one day.
    """
    if any(not len(mask) == len(slots) == mask.count("0") + mask.count("1") for mask in masks):
        raise ValueError(f"a mask does not fit the {len(slots)} frame files of its day")
    bits = np.frombuffer("".join(masks).encode(), dtype=np.uint8).reshape(len(masks), len(slots)) == ord("1")
    bits = np.ascontiguousarray(bits.T)
    # In whole milliseconds from midnight: slots within a gap are cut by division, and must meet.
    bounds = np.array([slot[:2] for slot in slots], dtype=float).clip(*window) - midnight
    bounds = np.round(1000 * bounds).astype(np.int64)
    edges = np.unique(bounds)
    has = np.zeros((len(edges) - 1, len(masks)), dtype=bool)
    for (first, stop), given in zip(np.searchsorted(edges, bounds), bits, strict=True):
        has[first:stop] |= given
    parts = has.mean(axis=1) if masks else np.zeros(len(has))
    columns = np.linspace(0, 86_400_000, COLUMNS + 1)
    columns[-1] = max(columns[-1], edges[-1])
    inside = (columns[:-1] < edges[-1]) & (columns[1:] > edges[0])
    first = np.maximum(np.searchsorted(edges, columns[:-1], "right") - 1, 0)
    stop = np.minimum(np.searchsorted(edges, columns[1:], "left"), len(parts))
    pairs = np.column_stack((first, stop))[inside]
    shaded = np.full(COLUMNS, np.nan)
    # reduceat gives the least of each stretch first:stop, and between two of them one that is not wanted.
    shaded[inside] = np.minimum.reduceat(np.append(parts, 1), pairs.ravel())[::2]
    return shaded


def _titles(days):
    """The two lines over the picture: which days, and what they come to."""
    counts = status.totals(days)
    span = days[0].date if len(days) == 1 else f"{len(days)} days, {days[0].date} to {days[-1].date}"
    facts = [f"{counts[name]} {name}" for name in STATUSES if counts[name]]
    if counts["coverage"] is not None:
        facts.append(f"{status.percent(counts['coverage'])} of the samples of completed days are there")
    spec = "".join(character if character.isprintable() else "?" for character in days[0].spec)
    return f"{spec}: {span}".removeprefix(": "), ", ".join(facts)


# --- the picture -------------------------------------------------------------------------


def row_height(count: int) -> int:
    """The height in pixels of each day in a picture of so many days."""
    return min(28, max(1200 // count, 3 if count <= 600 else 1))


def row_box(number: int, count: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in pixels of the day of a number in a picture of so many days.

    Counted from the upper left corner of the picture; right and bottom are excluded.  A frame is drawn over the
    outermost pixels of all days together.
    """
    top = _TOP + number * row_height(count)
    return _LEFT, top, _LEFT + COLUMNS, top + row_height(count)


def shades() -> "Colormap":
    """The colour of a part of the channels, 0 < part <= 1: from pale to dark blue, told apart without colour as well.

    A part of 0 is white, a time that was not asked for (NaN) grey.
    """
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    blues = ListedColormap(colormaps["Blues"](np.linspace(0.2, 0.95, 256)))
    return blues.with_extremes(under="white", bad=_OUTSIDE)


def hatch(words: str) -> str:
    """How a day is hatched that has words instead of a shade, as matplotlib names it."""
    return _HATCHES.get(words, _OTHER_HATCH)


def save(path: str, rows: Sequence[Row], titles: tuple[str, str]) -> None:
    """Write the picture of some days, at least one, to a PNG file, which carries its two titles as text."""
    # No setting of a user changes the picture, and nothing is said of a folder that cannot be written.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        # A name may have characters for which there is no glyph: a box is drawn.
        warnings.simplefilter("ignore")
        matplotlib.rcParams.update({"font.size": 8, "hatch.linewidth": 0.7, "text.parse_math": False})
        drawn = figure(rows, titles)
        with files.replacing(path) as aside:
            drawn.savefig(aside, format="png", dpi=_DPI, metadata={"Title": titles[0], "Description": titles[1]})


def figure(rows: Sequence[Row], titles: tuple[str, str] = ("", "")) -> "Figure":
    """The picture of some days, at least one, as a matplotlib figure (see the head), in the present settings."""
    return _Sheet(rows, titles).figure


class _Sheet:
    """The figure of some rows: days at the left, two columns of numbers beside them, words at the edge.

    row, tall: height in pixels of a row and of all rows; wide, high: size of the whole.  runs: see _runs; thin: those
    that are too thin to hold words.
    """

    def __init__(self, rows, titles):
        from matplotlib.figure import Figure

        self.rows, self.row = rows, row_height(len(rows))
        self.tall = self.row * len(rows)
        self.runs = list(_runs(rows))
        self.thin = [run for run in self.runs if self.row * (run[1] - run[0]) < _ROOM]
        self.beside = _LEFT + COLUMNS + _GAP
        self.edge = self.beside + 2 * _BESIDE + _GAP
        self.wide = self.edge + (_WORDS if self.thin else _RIGHT)
        self.high = _TOP + self.tall + _BOTTOM
        self.figure = Figure(figsize=(self.wide / _DPI, self.high / _DPI), dpi=_DPI)
        self._text(10, 20, titles[0], fontsize=13, fontweight="bold")
        self._text(10, 41, titles[1], fontsize=9)
        self._days()
        self._numbers()
        self._words()
        self._key()

    def _text(self, x, y, text, **more):
        """Words at pixels from the left and the top."""
        return self.figure.text(x / self.wide, 1 - y / self.high, text, va="center", **more)

    def _axes(self, label, x, y, wide, high):
        """Axes whose upper left corner is at pixels from the left and the top."""
        box = (x / self.wide, 1 - (y + high) / self.high, wide / self.wide, high / self.high)
        return self.figure.add_axes(box, label=label)

    def _beside(self, label, x, title):
        axes = self._axes(label, x, _TOP, _BESIDE, self.tall)
        axes.set_ylim(len(self.rows), 0)
        axes.set_yticks([])
        axes.tick_params(top=True, labeltop=True)
        self._text(x, _TOP - 30, title)
        return axes

    def _days(self):
        axes = self._axes("days", _LEFT, _TOP, COLUMNS, self.tall)
        empty = np.full(COLUMNS, np.nan)
        image = np.array([empty if row.shade is None else row.shade for row in self.rows])
        axes.imshow(image, cmap=shades(), vmin=1e-9, vmax=1, extent=(0, 24, len(self.rows), 0), aspect="auto",
                    interpolation="nearest")  # fmt: skip
        axes.set_xticks(range(0, 25, 3), [f"{hour:02d}:00" for hour in range(0, 25, 3)])
        axes.set_xticks(range(25), minor=True)
        axes.tick_params(which="both", top=True)
        axes.tick_params(labeltop=True)
        axes.set_yticks(*self._dates())
        self._text(_LEFT, _TOP - 30, "UTC")
        if self.row >= 5:
            axes.hlines(range(1, len(self.rows)), 0, 24, colors="white", linewidths=0.7, zorder=0.5)
        for first, stop, words in self.runs:
            axes.fill_between(
                (0, 24),
                first,
                stop,
                facecolor="white",
                edgecolor=_DARK,
                hatch=hatch(words),
                linewidth=0.7,
            )
            if self.row * (stop - first) >= _ROOM:
                count = f"{stop - first} days: " if stop - first > 1 else ""
                plate = {"facecolor": "white", "edgecolor": "none", "pad": 1}
                axes.text(12, (first + stop) / 2, f"{count}{words}", ha="center", va="center_baseline", bbox=plate,
                          fontsize=8, fontweight="bold")  # fmt: skip

    def _dates(self):
        """(places, labels) at the days' axis: each day, or Mondays, or the first of each month, as there is room."""
        dates = [row.date for row in self.rows]
        if self.row >= _ROOM:
            return [number + 0.5 for number in range(len(dates))], dates
        import datetime

        if self.row >= 6:
            at = [n for n, date in enumerate(dates) if datetime.date.fromisoformat(date).weekday() == 0]
        else:
            at = [n for n, date in enumerate(dates) if date.endswith("-01")]
            # Fewer months, so that their names do not touch.
            at = at[:: -(-_LINE // (28 * self.row))]
        return [n + (0.5 if self.row >= 6 else 0) for n in at], [dates[n] for n in at]

    def _numbers(self):
        edges = range(len(self.rows) + 1)
        number = lambda value: np.nan if value is None else value  # noqa: E731
        left = self._beside("samples", self.beside, "samples there, %")
        left.set_xlim(0, 100)
        left.set_xticks((0, 50, 100))
        left.stairs([100 * number(row.coverage) for row in self.rows], edges, orientation="horizontal", fill=True,
                    color=_BAR)  # fmt: skip
        right = self._beside("channels", self.beside + _BESIDE + _GAP, "channels (line: asked for)")
        most = max((max(row.channels or 0, row.requested or 0) for row in self.rows), default=0) or 1
        right.set_xlim(0, 1.02 * most)
        right.set_xticks((0, most))
        right.stairs(
            [number(row.channels) for row in self.rows], edges, orientation="horizontal", fill=True, color=_BAR
        )
        right.stairs([number(row.requested) for row in self.rows], edges, orientation="horizontal", baseline=None,
                     color=_DARK, linewidth=0.8)  # fmt: skip
        if self.row < _ROOM:
            return
        for at, row in enumerate(self.rows):
            if row.coverage is not None:
                asked = "" if row.requested is None else f" of {row.requested}"
                left.text(4, at + 0.5, status.percent(row.coverage), va="center_baseline")
                right.text(0.04 * most, at + 0.5, f"{row.channels}{asked}", va="center_baseline")

    def _words(self):
        """Words at the edge for days that are too thin to hold them, each with a line to its days.

        If there is no room for all, those of the most days are kept.
        """
        if not self.thin:
            return
        room = max(1, self.tall // _LINE - 1)
        kept = sorted(sorted(self.thin, key=lambda run: run[0] - run[1])[:room])
        axes = self._axes("words", self.edge, _TOP, _WORDS, self.tall)
        axes.set_axis_off()
        axes.set_xlim(0, _WORDS)
        axes.set_ylim(self.tall, 0)
        places = apart([self.row * (first + stop) / 2 for first, stop, _ in kept], self.tall)
        for (first, stop, words), place in zip(kept, places, strict=True):
            axes.plot((2, 8, 22), (self.row * (first + stop) / 2,) * 2 + (place,), color=_DARK, linewidth=0.6,
                      clip_on=False)  # fmt: skip
            count = f", {stop - first} days" if stop - first > 1 else ""
            axes.text(25, place, f"{self.rows[first].date}{count} {words}", va="center_baseline")
        if len(kept) < len(self.thin):
            self._text(self.edge + 25, _TOP + self.tall + 10, f"and {len(self.thin) - len(kept)} more such places")

    def _key(self):
        """What the shades and hatches say, below the days."""
        from matplotlib.patches import Patch

        top = _TOP + self.tall + 40
        axes = self._axes("key", _LEFT, top, 240, 12)
        axes.imshow(
            np.linspace(0, 1, 241)[None], cmap=shades(), vmin=1e-9, vmax=1, extent=(0, 100, 0, 1), aspect="auto"
        )
        axes.set_yticks([])
        axes.set_xticks((0, 50, 100), ("0", "50", "100 %"))
        self._text(_LEFT, top + 46, "of the day's channels have data (the least in two minutes)")
        kinds = [("no channel has data", {"facecolor": "white"})]
        if any(row.shade is not None and np.isnan(row.shade).any() for row in self.rows):
            kinds.append(("not asked for", {"facecolor": _OUTSIDE}))
        for words in dict.fromkeys(words for _, _, words in self.runs):
            kinds.append((words, {"facecolor": "white", "hatch": hatch(words)}))
        self.figure.legend(
            [Patch(edgecolor=_DARK, linewidth=0.7, **style) for _, style in kinds],
            [words for words, _ in kinds],
            loc="upper left", bbox_to_anchor=((_LEFT + 270) / self.wide, 1 - (top - 6) / self.high), ncols=3,
            frameon=False, handlelength=2.5, handleheight=1.2, borderpad=0, borderaxespad=0,
        )  # fmt: skip


def _runs(rows):
    """Days in a row that have the same words: (first, stop, words)."""
    at = 0
    for words, run in itertools.groupby(rows, lambda row: row.words):
        stop = at + len(list(run))
        if words:
            yield at, stop, words
        at = stop


def apart(wanted: Iterable[float], room: float, least: float = _LINE) -> list[float]:
    """Places from 0 to `room`, at least `least` apart, as near to the wanted ones, which ascend, as can be."""
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + least if places else 0))
    limit = room
    for number in range(len(places) - 1, -1, -1):
        places[number] = min(places[number], limit)
        limit = places[number] - least
    return places
