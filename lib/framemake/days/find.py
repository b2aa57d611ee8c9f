"""Which channels days have, and how much of them: coverage, gaps, rate, unit, over a range of days.

What a day file says of its channels is taken once and kept in a file beside the days, by the day file's identity: it is
made from the day files alone, and written anew where they changed.  Gaps within a day are seen to the increment or, if
that is shorter, the frame file: what is missing inside of one that gave samples counts for the coverage alone.
"""

import contextlib
import fnmatch
import io
import json
import os
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from .. import files, gps
from ..day import layout, statistics
from ..day.dayfile import DayFile, reading
from ..errors import BadInput
from ..frames.catalog import number
from .opened import OpenDays, identity_of

# Where what was taken is kept, in the output folder; of another form it is taken anew.
KEPT, _FORM = ".channels.npz", 1
# Days for which a process more is worth its start.
_DAYS_A_PROCESS = 40
# Seconds by which the end of one sample and the begin of the next may differ, and there is no gap.
_NEAR = 2e-6


class Found(NamedTuple):
    """A channel over a range of days.

    coverage: part of the range, 0 to 1, in which it has samples.  gaps: stretches without any; longest: of them, in s;
    first, last: GPS time of the first and last sample.  days: how many have samples.  rate in Hz, dtype and unit: those
    of most days; changes: in words, '' if they are the same on all days.
    """

    name: str
    coverage: float
    gaps: int
    longest: float
    rate: float
    unit: str
    days: int
    first: float
    last: float
    dtype: str
    changes: str


class Fact(NamedTuple):
    """What a day has of a channel; most days have the same of most channels.

    seconds: that its samples stand for; first, end: s from the window's begin to the first sample, and behind the last;
    gaps, longest: stretches without samples between these.
    """

    rate: float
    dtype: str
    unit: str
    seconds: float
    first: float
    end: float
    gaps: int
    longest: float


class Taken(NamedTuple):
    """A day file: its window in GPS seconds, its channels with samples, and the number of the Fact of each."""

    window: tuple[int, int]
    names: tuple[str, ...]
    facts: list[Fact]
    numbers: np.ndarray


def channels(
    days: OpenDays,
    first: str | None = None,
    last: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Found]:
    """The Found of each channel of the days from first to last 'YYYY-MM-DD', both included, by name.

    Days without a file are gaps of all channels.  progress: called with how many of all day files were looked at.
    Raises BadInput if a day file cannot be read, or there is none.
    """
    begin, stop, paths = day_range(days, first, last)
    range_ = gps.Window(gps.day_window(begin).start, gps.day_window(stop).end)
    kept, keys = taken(days.out, list(paths.values()), progress)
    return list(joined(kept, keys, range_))


def by_day(
    days: OpenDays,
    first: str | None = None,
    last: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[str], list[str], np.ndarray]:
    """(channels, by name; days; the part of each day in which each channel has samples), as of channels.

    The part is a float array (channels, days), 0 to 1, NaN for a day without a file.
    """
    begin, stop, paths = day_range(days, first, last)
    kept, keys = taken(days.out, list(paths.values()), progress)
    lists, entries = list(kept.names), {date: kept.entries[key] for date, key in zip(paths, keys, strict=True)}
    names = sorted({name for listed in {entry[1] for entry in entries.values()} for name in lists[listed]})
    row = {name: at for at, name in enumerate(names)}
    places = {listed: np.array([row[name] for name in lists[listed]]) for _, listed, _ in entries.values()}
    seconds = np.array([fact.seconds for fact in kept.facts])
    dates = gps.dates(begin, stop)
    parts = np.full((len(names), len(dates)), np.nan)
    for column, date in enumerate(dates):
        if date in entries:
            (start, end), listed, numbers = entries[date]
            parts[:, column] = 0
            parts[places[listed], column] = seconds[numbers] / (end - start)
    return names, dates, parts


def day_range(days: OpenDays, first: str | None, last: str | None) -> tuple[str, str, dict[str, str]]:
    """(the first day, the last, {date: day file} of those that are there); BadInput if there is none."""
    gps.check_days(first, last)
    folders = days.folders()
    begin, stop = first or next(iter(folders)), last or next(reversed(folders))
    paths = {date: folder.h5 for date, folder in folders.items() if begin <= date <= stop}
    paths = {date: path for date, path in paths.items() if os.path.exists(path)}
    if not paths:
        raise BadInput(f"no day is built from {begin} to {stop}: {days.out!r}")
    return begin, stop, paths


def chosen(
    found: Iterable[Found],
    coverage: float = 0.0,
    rate: float | None = None,
    unit: str | None = None,
    match: str | None = None,
    worst: bool = False,
) -> list[Found]:
    """Those with at least so much coverage, of this rate and unit, whose name matches a pattern with * ? [].

    worst: the least covered first, and of those the one with the longest gap; else they stay in their order.
    """
    some = [
        each
        for each in found
        if each.coverage >= coverage
        and (rate is None or abs(each.rate - rate) < 1e-6 * rate)
        and (unit is None or each.unit == unit)
        and (match is None or fnmatch.fnmatchcase(each.name, match))
    ]
    return sorted(some, key=lambda each: (each.coverage, -each.longest, each.name)) if worst else some


# --- what a day file has -----------------------------------------------------------------


def take(path: str) -> Taken:
    """What a day file says of its channels; BadInput, which names it, if it cannot be read."""
    with reading(path) as day:
        return of_day(day)[0]


def of_day(day: DayFile) -> tuple[Taken, dict[str, list[tuple[float, float]]]]:
    """(the Taken of a day file, {channel: its gaps between its first and last sample}, in s from the window's begin).

    Channels without such a gap are not in the second.
    """
    # The frames at once: asked for alone, all that stands before them would be decoded again.
    made = day.peek("read", "window", "increment", "datasets", "frames")
    (start, end), datasets = made["window"], made["datasets"]
    column = {name: at for at, name in enumerate(made["read"])}
    count, first, last = _extents(day, made["read"], column)
    names = [name for name in datasets if count[column[name]]]
    at = np.array([column[name] for name in names], dtype=np.int64)
    rate, total, t0 = (np.array([datasets[name][which] for name in names], dtype=float) for which in (0, 2, 3))
    begins = np.round(t0 - start + first[at] / rate, 6)
    ends = np.round(t0 - start + (last[at] + 1) / rate, 6)
    partly = np.flatnonzero(count[at] < total).tolist()
    inner = _inner_gaps(day, made, {names[each]: int(at[each]) for each in partly}) if partly else {}
    gaps = {each: _between(inner.get(names[each], ()), begins[each], ends[each]) for each in partly}
    counted = {each: (len(spans), max(b - a for a, b in spans)) for each, spans in gaps.items() if spans}
    facts: dict[tuple, int] = {}
    columns = zip(names, (count[at] / rate).tolist(), begins.tolist(), ends.tolist(), strict=True)
    numbers = [
        facts.setdefault((*datasets[name][:2], datasets[name][4], *rest, *counted.get(each, (0, 0.0))), len(facts))
        for each, (name, *rest) in enumerate(columns)
    ]
    taken = Taken((start, end), tuple(names), [Fact(*fact) for fact in facts], np.array(numbers, dtype=np.int32))
    return taken, {names[each]: spans for each, spans in gaps.items() if spans}


def _extents(day, read, column):
    """(samples, number of the first, of the last) of each channel that was read: arrays, 0 and NaN for none."""
    count, first, last = np.zeros(len(read)), np.full(len(read), np.nan), np.full(len(read), np.nan)
    if layout.PROVENANCE not in day.file:
        for name, values in _of_converter(day).items():
            count[column[name]], first[column[name]], last[column[name]] = values
        return count, first, last
    for members, whole in day.whole_statistics():
        for into, which in ((count, statistics.COUNT), (first, statistics.FIRST), (last, statistics.LAST)):
            into[members] = whole[:, which]
    return count, first, last


def _of_converter(day):
    """{channel: (samples, number of the first, of the last)} of a day that has no statistics, from its samples."""
    totals = day.totals()
    return {
        name: tuple(values[[statistics.COUNT, statistics.FIRST, statistics.LAST]]) for name, values in totals.items()
    }


def _inner_gaps(day, made, columns):
    """{channel: [(start, end)] in s from the window's begin in which no frame file gave it a sample}.

    To the increment, or the file if that is shorter.  Of a day that has no notes of that it is empty.
    """
    if layout.PROVENANCE not in day.file:
        return {}
    group = day.file[layout.PROVENANCE]
    pairs, gave = group["pairs"][()], group["gave"][()]
    if not len(pairs):
        return {}
    start, increment = made["window"][0], made["increment"]
    frames = np.array([frame[1:3] for frame in made["frames"]], dtype=float)
    begins = np.maximum(frames[pairs[:, 0], 0] - start, pairs[:, 1] * increment)
    ends = np.minimum(frames[pairs[:, 0]].sum(axis=1) - start, (pairs[:, 1] + 1) * increment)
    order = np.argsort(begins, kind="stable")
    begins, ends = begins[order], ends[order]
    bits = (gave[:, list(columns.values())] > 0)[order].T
    # Channels mostly lack the same files: each pattern is looked at once.
    known: dict[bytes, list] = {}
    found = {}
    for name, row in zip(columns, bits, strict=True):
        key = row.tobytes()
        if key not in known:
            known[key] = _apart(begins[row], ends[row])
        found[name] = known[key]
    return found


def _apart(begins, ends):
    """The spans between those that begin and end so, in order of their begin."""
    if not len(begins):
        return []
    reach = np.maximum.accumulate(ends)[:-1]
    at = np.flatnonzero(begins[1:] > reach + _NEAR)
    return list(zip(reach[at].tolist(), begins[1:][at].tolist(), strict=True))


def _between(spans, first, end):
    """What of spans lies between two times."""
    return [(max(a, first), min(b, end)) for a, b in spans if b > first + _NEAR and a < end - _NEAR]


# --- kept beside the days ----------------------------------------------------------------


class Kept:
    """What was taken of day files, by (path in the folder, identity): each Fact and list of names is held once.

    entries: (window, number of the list of names, numbers of the facts).
    """

    def __init__(self, out: str):
        """out: the folder of the days, in which it is kept; of what is no folder nothing is."""
        self._out, self._place = out, os.path.join(out, KEPT) if os.path.isdir(out) else None
        self.facts: dict[Fact, int] = {}
        self.names: dict[tuple[str, ...], int] = {}
        self.entries: dict[tuple, tuple[tuple[int, int], int, np.ndarray]] = {}
        if self._place:
            self._load(self._place)

    def add(self, key: tuple, taken: Taken) -> None:
        number_of = np.array([self.facts.setdefault(fact, len(self.facts)) for fact in taken.facts], dtype=np.int32)
        names = self.names.setdefault(taken.names, len(self.names))
        self.entries[key] = taken.window, names, number_of[taken.numbers]

    def save(self, keys: Collection[tuple]) -> None:
        """Write it, with the days of these keys and all others whose files are still the same."""
        if self._place is None:
            return
        gone = [key for key in self.entries if identity_of(os.path.join(self._out, key[0])) != key[1]]
        for key in gone:
            if key not in keys:
                del self.entries[key]
        # Whoever may only read the days takes them each time.
        with contextlib.suppress(OSError):
            self._save(self._place)

    def _save(self, place):
        told = {"form": _FORM, "facts": list(self.facts), "names": list(self.names), "days": []}
        told["days"] = [[*key, window, names] for key, (window, names, _) in self.entries.items()]
        raw = np.frombuffer(json.dumps(told).encode("utf-8", "surrogateescape"), dtype=np.uint8)
        numbers = [held for _, _, held in self.entries.values()]
        packed = io.BytesIO()
        np.savez(packed, told=raw, facts=np.concatenate(numbers))
        files.write_bytes(place, packed.getbuffer(), durable=False)

    def _load(self, place):
        """Take in what was saved; nothing if there is nothing, or it is not of this form."""
        try:
            with np.load(place, allow_pickle=False) as held:
                told, numbers = json.loads(held["told"].tobytes().decode("utf-8", "surrogateescape")), held["facts"]
            if told["form"] != _FORM:
                return
            facts = {Fact(*fact): at for at, fact in enumerate(told["facts"])}
            names = {tuple(some): at for at, some in enumerate(told["names"])}
            entries, at, lengths = {}, 0, [len(some) for some in names]
            for path, identity, window, listed in told["days"]:
                entries[path, tuple(identity)] = tuple(window), listed, numbers[at : at + lengths[listed]]
                at += lengths[listed]
            if at == len(numbers) and (not at or numbers.max() < len(facts)):
                self.facts, self.names, self.entries = facts, names, entries
        except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile):
            return


def taken(
    out: str, paths: Sequence[str], progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Kept, list[tuple]]:
    """(the Kept, the keys of the day files in it): of those that it knows, and of new ones."""
    kept = Kept(out)
    keys = {path: key_of(out, path) for path in paths}
    new = [path for path in paths if keys[path] not in kept.entries]
    progress(len(paths) - len(new), len(paths))
    for at, (path, found) in enumerate(zip(new, each_of(take, new), strict=True), len(paths) - len(new) + 1):
        kept.add(keys[path], found)
        progress(at, len(paths))
    if new:
        kept.save(keys.values())
    return kept, list(keys.values())


def key_of(out: str, path: str) -> tuple:
    """What a day file is known by in a Kept: its path in the folder, its identity."""
    return os.path.relpath(path, out), identity_of(path)


def each_of(take: Callable, paths: Sequence) -> Iterator[Any]:
    """What `take` gives of each path, in several processes where there are many."""
    workers = min(os.cpu_count() or 1, len(paths) // _DAYS_A_PROCESS)
    if workers < 2:
        yield from map(take, paths)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(take, paths, chunksize=4)


# --- over the range ----------------------------------------------------------------------


class _Channels:
    """Channels as days are joined: arrays, an element a channel, in the order in which they are met."""

    def __init__(self, start: int):
        self.start = start
        self.number: dict[str, int] = {}
        self.seconds, self.gaps, self.days = (np.zeros(0) for _ in range(3))
        self.longest, self.first, self.reach = (np.zeros(0) for _ in range(3))

    def at(self, names: Sequence[str]) -> np.ndarray:
        """The numbers of channels, new ones included."""
        found = np.array([self.number.setdefault(name, len(self.number)) for name in names], dtype=np.int64)
        more = len(self.number) - len(self.seconds)
        if more:
            for key in ("seconds", "gaps", "days", "longest"):
                setattr(self, key, np.concatenate((getattr(self, key), np.zeros(more))))
            self.first = np.concatenate((self.first, np.full(more, np.nan)))
            # Up to where its samples reach: none before the range.
            self.reach = np.concatenate((self.reach, np.full(more, float(self.start))))
        return found

    def gap(self, at: np.ndarray, until: np.ndarray | float) -> None:
        """Count what is missing from where the samples reach to where they go on."""
        length = until - self.reach[at]
        some = length > _NEAR
        self.gaps[at] += some
        self.longest[at] = np.maximum(self.longest[at], np.where(some, length, 0))


def joined(kept: Kept, keys: Sequence[tuple], range_: gps.Window) -> Iterator[Found]:
    """The Found of each channel, by name."""
    lists, days = list(kept.names), sorted((kept.entries[key] for key in keys), key=lambda entry: entry[0])
    made = _Channels(range_.start)
    places = {number: made.at(lists[number]) for number in sorted({listed for _, listed, _ in days})}
    table = np.array([fact[3:] for fact in kept.facts], dtype=float).reshape(-1, 5)
    forms: dict[tuple, int] = {}
    form_of = np.array([forms.setdefault(fact[:3], len(forms)) for fact in kept.facts], dtype=np.int64)
    counts = np.zeros((len(made.number), len(forms)), dtype=np.int32)
    for (start, _), listed, numbers in days:
        at, (seconds, first, end, gaps, longest) = places[listed], table[numbers].T
        made.gap(at, start + first)
        made.seconds[at] += seconds
        made.days[at] += 1
        made.gaps[at] += gaps
        made.longest[at] = np.maximum(made.longest[at], longest)
        made.first[at] = np.fmin(made.first[at], start + first)
        made.reach[at] = start + end
        counts[at, form_of[numbers]] += 1
    last = made.reach.copy()
    made.gap(np.arange(len(made.seconds)), float(range_.end))
    known = list(forms)
    for name, row in sorted(made.number.items()):
        seen = {known[form]: int(counts[row, form]) for form in np.flatnonzero(counts[row]).tolist()}
        rate, dtype, unit = max(sorted(seen), key=lambda form: seen[form])
        longest, first, to = (
            round(float(value), 6) for value in (made.longest[row], made.first[row], last[row] - 1 / rate)
        )
        coverage, days_with = float(made.seconds[row] / range_.duration), int(made.days[row])
        yield Found(
            name, coverage, int(made.gaps[row]), longest, rate, unit, days_with, first, to, dtype, _changes(seen)
        )


def _changes(counts):
    """How a channel changes between days, in words; '' if it does not."""
    if len(counts) == 1:
        return ""
    parts = [
        f"{dtype} at {rate:g} Hz in {unit!r} ({days} day{'' if days == 1 else 's'})"
        for (rate, dtype, unit), days in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    ]
    return ", ".join(parts)


def to_lines(found: Iterable[Found]) -> Iterator[str]:
    """A line a channel: name, coverage, gaps, longest gap, rate, unit, days, GPS of first and last sample, changes."""
    for each in found:
        unit, changes = (" ".join(word.split()) for word in (each.unit, each.changes))
        yield "\t".join((
            each.name, f"{each.coverage:.6f}", str(each.gaps), number(each.longest), number(each.rate), unit,
            str(each.days), number(each.first), number(each.last), changes,
        )) + "\n"  # fmt: skip


def to_json(found: Iterable[Found]) -> str:
    """The same as a JSON object: channels, a list of objects."""
    entries: list[dict[str, Any]] = [each._asdict() for each in found]
    return json.dumps({"channels": entries}, indent=1) + "\n"
