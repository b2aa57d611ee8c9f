"""What was taken of day files for the report, kept beside the days, a file a month: a new day is taken alone."""

import contextlib
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .. import files, gps
from ..days import find
from ..errors import BadInput
from .facts import Facts, Hole, Span, take

# Where it is kept, in the output folder; of another form it is taken anew.
FOLDER, _FORM = ".report", 3
_ARRAYS = ("seconds", "values", "set_of", "late")
# What a file that is damaged, or is none of ours, leads to.
_FAULTS = (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile)


class Days:
    """The Facts of some days, and the Kept of find: of those that were taken before, and of new ones.

    facts: {date: Facts}; problems: {date: why a day file cannot be read}; new: how many days were taken now.
    """

    def __init__(
        self,
        out: str,
        paths: Mapping[str, str],
        state: tuple[str, Sequence[Span]] | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ):
        """paths: {date: day file}; state: what it is called, and its spans; progress: (done, total) day files."""
        self.facts: dict[str, Facts] = {}
        self.problems: dict[str, str] = {}
        self._folder, self._state = os.path.join(out, FOLDER), state
        self.found = find.Kept(out)
        self.keys = {date: find.key_of(out, path) for date, path in paths.items()}
        months = {date[:7] for date in paths}
        held = {date: entry for month in sorted(months) for date, entry in self._load(month).items()}
        wanted = {date: self._key(date) for date in paths}
        for date, key in wanted.items():
            if date in held and held[date][0] == key and self.keys[date] in self.found.entries:
                self.facts[date] = held[date][1]
        lists = {facts.names: facts.names for facts in self.facts.values()}
        new = [date for date in paths if date not in self.facts]
        self.new = len(new)
        progress(len(paths) - len(new), len(paths))
        asked = [(paths[date], self._spans(date)) for date in new]
        for at, (date, taken) in enumerate(
            zip(new, find.each_of(_take, asked), strict=True), len(paths) - len(new) + 1
        ):
            if isinstance(taken, str):
                self.problems[date] = taken
            else:
                self.found.add(self.keys[date], taken[0])
                # From another process each day comes with names of its own, which would be most of the memory.
                names = lists.setdefault(taken[1].names, taken[1].names)
                self.facts[date] = taken[1]._replace(names=names)
            progress(at, len(paths))
        if new:
            self.found.save(self.keys.values())
            # Whoever may only read the days takes them each time.
            with contextlib.suppress(OSError):
                for month in sorted({date[:7] for date in new}):
                    kept = {date: (wanted[date], self.facts[date]) for date in self.facts if date[:7] == month}
                    self._save(month, {**{k: v for k, v in held.items() if k[:7] == month}, **kept})

    def _key(self, date):
        """What the Facts of a day are made from, as JSON has it."""
        path, identity = self.keys[date]
        return [path, list(identity or ()), self._spans(date)]

    def _spans(self, date):
        """What of the state's spans lies in a day, as JSON has it; None for all of it."""
        if self._state is None:
            return None
        start, end = gps.day_window(date)
        return [[max(a, start), min(b, end)] for a, b in self._state[1] if a < end and b > start]

    def _place(self, month):
        name = (
            month if self._state is None else f"{month}-{hashlib.sha256(os.fsencode(self._state[0])).hexdigest()[:8]}"
        )
        return os.path.join(self._folder, f"{name}.npz")

    def _save(self, month, entries):
        names: dict[tuple, int] = {}
        told: dict = {"form": _FORM, "days": []}
        for date, (key, facts) in sorted(entries.items()):
            rest = {name: value for name, value in facts._asdict().items() if name not in (*_ARRAYS, "names")}
            told["days"].append([date, key, names.setdefault(facts.names, len(names)), rest])
        told["names"] = list(names)
        raw = np.frombuffer(json.dumps(told).encode("utf-8", "surrogateescape"), dtype=np.uint8)
        arrays = {name: np.concatenate([getattr(facts, name) for _, facts in _by_date(entries)]) for name in _ARRAYS}
        packed = io.BytesIO()
        np.savez(packed, told=raw, **arrays)
        os.makedirs(self._folder, exist_ok=True)
        files.write_bytes(self._place(month), packed.getbuffer(), durable=False)

    def _load(self, month):
        """{date: (key, Facts)} of what was kept of a month; nothing if there is nothing, or it is of another form."""
        found, at = {}, 0
        try:
            with np.load(self._place(month), allow_pickle=False) as held:
                told = json.loads(held["told"].tobytes().decode("utf-8", "surrogateescape"))
                arrays = {name: held[name] for name in _ARRAYS}
            if told["form"] != _FORM:
                return {}
            names = [tuple(some) for some in told["names"]]
            for date, key, listed, rest in told["days"]:
                own = {name: values[at : at + len(names[listed])] for name, values in arrays.items()}
                rest.update(window=tuple(rest["window"]), holes=[Hole(*hole) for hole in rest["holes"]])
                found[date] = key, Facts(names=names[listed], **own, **rest)
                at += len(names[listed])
        except _FAULTS:
            return {}
        return found if all(len(values) == at for values in arrays.values()) else {}


def _by_date(entries):
    return [entries[date] for date in sorted(entries)]


def _take(asked):
    """As of facts.take; the words for a day file that cannot be read, as they come from another process."""
    try:
        return take(*asked)
    except BadInput as error:
        return str(error)
