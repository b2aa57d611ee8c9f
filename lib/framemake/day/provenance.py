"""Where a day came from, and what was odd about it: what a day file says of itself.

/provenance of the file holds `inputs` (JSON: frames, channel list, settings, version, what was odd), `pairs`, `gave`
and `why` (which file gave which channel samples in which increment, in what unit, or why not: see account), and
`statistics`, a table for each count of units.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

import h5py
import numpy as np

from .. import grid
from ..frames import catalog
from ..gps import Window
from . import layout, statistics
from .account import Account


class Dataset(NamedTuple):
    """How a channel lies in a day file: rate in Hz, dtype, samples, GPS time of the first, unit."""

    rate: float
    dtype: str
    total: int
    t0: float
    unit: str


class Origin(NamedTuple):
    """What a person chose for the day: its provenance tells it, and nothing depends on it."""

    ffl_spec: str = ""
    ffl_path: str = ""
    channel_list: str = ""
    channel_list_sha256: str = ""
    requested: list | tuple = ()
    rejected: list | tuple = ()


class Provenance(NamedTuple):
    """Where a day came from, and what was odd about it.

    increment in s.  channels: those that were read, the columns of account.gave.  datasets: by channel, those with a
    sample.  frames: catalog.Frame.  rates_dropped: {channel: {kept, dropped_seconds, dropped_rates}} of those with
    several grids.
    units_dropped: {channel: {kept, seen}} of those with several units.  layout: see layout.LAYOUT.  source: of a day
    that was resampled, the day file that it was made from (path, size, mtime in ns, version), rate and least as of
    resample.Lower; else None.
    """

    version: str
    window: Window
    increment: int
    compression: str
    origin: Origin
    channels: list
    datasets: dict
    frames: list
    account: Account
    rates_dropped: dict
    units_dropped: dict
    layout: int | str = layout.LAYOUT
    source: dict | None = None

    def save(self, group: h5py.Group) -> None:
        """Write it to the group of that name, but for the statistics."""
        facts = self.account.facts(self.channels)
        inputs = {
            "layout": self.layout,
            "version": self.version,
            "window": list(self.window),
            "increment": self.increment,
            "compression": self.compression,
            **self.origin._asdict(),
            "read": list(self.channels),
            "seen": facts.pop("seen"),
            "datasets": {name: list(dataset) for name, dataset in self.datasets.items()},
            "frames": [list(frame) for frame in self.frames],
            **facts,
            "grids_dropped": self.rates_dropped,
            "units_dropped": self.units_dropped,
            **({"source": self.source} if self.source else {}),
        }
        group.create_dataset("inputs", data=np.bytes_(json.dumps(inputs).encode("utf-8", "surrogateescape")))
        self.account.save_arrays(group, compression="gzip", compression_opts=1, shuffle=True)

    @classmethod
    def load(cls, group: h5py.Group) -> "Provenance":
        """The provenance that a group holds; KeyError, ValueError or TypeError if it holds none."""
        inputs = json.loads(group["inputs"][()])
        window, increment = Window(*inputs["window"]), inputs["increment"]
        if not (window.start < window.end and increment > 0):
            raise ValueError("window")
        return cls(
            inputs["version"],
            window,
            increment,
            inputs["compression"],
            Origin(*(inputs[name] for name in Origin._fields)),
            inputs["read"],
            {name: _checked(Dataset(*dataset), window) for name, dataset in inputs["datasets"].items()},
            [catalog.Frame(*frame) for frame in inputs["frames"]],
            Account.load(group, inputs),
            inputs["grids_dropped"],
            inputs["units_dropped"],
            inputs["layout"],
            inputs.get("source"),
        )

    def unit_of(self, name: str) -> int:
        """Samples a unit of a channel: see grid.cut."""
        return grid.cut(self.datasets[name].rate, self.increment, self.window.duration).unit

    def odd(self) -> Iterator[str]:
        """What was odd about the day, a line each."""
        for (path, name), reason in sorted(self.account.bad.items()):
            yield f"cannot be read, {reason}: {path!r}" + (f", channel {name!r}" if name else "")
        for name, change in self.rates_dropped.items():
            lost = ", ".join(f"{seconds:g} s at {what}" for what, seconds in change["dropped_seconds"].items())
            yield f"sample rate changes, kept {change['kept']}, left out {lost}: {name!r}"
        for name, change in self.units_dropped.items():
            yield f"unit changes, kept {change['kept']!r} of {', '.join(map(repr, change['seen']))}: {name!r}"
        for name, problem in self.account.problems.items():
            if name in self.datasets:
                yield f"not all samples can be used, {problem}: {name!r}"
        if self.account.unverified:
            first, *more = sorted(self.account.unverified)
            others = f" and {len(more)} more" if more else ""
            yield f"no checksum, damage in it cannot be seen: {first!r}{others}"


def _checked(dataset, window):
    """A Dataset as it is; ValueError for one that no day has, as where a letter of the text is another."""
    fits = dataset.rate > 0 and dataset.total == grid.length(window.duration, dataset.rate)
    if dataset.dtype not in layout.TYPES or not fits:
        raise ValueError(dataset)
    return dataset


def write_statistics(group: h5py.Group, tables: dict[int, np.ndarray], made: Provenance) -> None:
    """Write {number of a channel: float64 (units, COLUMNS)} below a provenance, a table for each count of units.

    Beside the table of the units stand the statistics of the `whole` day, the digest of each channel, `sha256`, and
    its `span`: see statistics.
    """
    by_count: dict[int, list[int]] = {}
    for at, values in tables.items():
        by_count.setdefault(len(values), []).append(at)
    group = group.create_group("statistics")
    for count, members in sorted(by_count.items()):
        table = group.create_group(f"units{count}")
        table["members"] = np.array(members, dtype=np.int32)
        values = np.array([tables[at] for at in members])
        table["whole"] = statistics.combine(values)
        table["sha256"] = np.array([statistics.joined(units[:, statistics.WORDS]) for units in values], dtype="S64")
        table["span"] = np.array([made.unit_of(made.channels[at]) for at in members], dtype=np.int64)
        table.create_dataset("values", data=values, compression="gzip", compression_opts=1, shuffle=True)
