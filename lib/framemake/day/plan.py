"""What to read in one go: a day cut into blocks, each some units of time of some channels.

Each frame vector is decompressed once in a run as far as memory allows it, whatever the length of the
frames: blocks are cut by time where frames are short and by channel where one frame holds the day.  The
plan depends on the inputs alone, never on the number of cores, and each block's name is a digest of what
it is made from: a part file that is there is a block that is done.  Parts of before a power cut, which may
be torn as they are not synced, have other names.
"""

import hashlib
import json
import math
import os
from typing import NamedTuple

from .. import files, grid
from ..errors import BadInput
from ..frames import catalog
from ..frames.channels import Channel
from ..gps import Window
from . import layout
from .earlier import Earlier

PLAN = "plan.json"
BUDGET = 96e6
_SMALL = 2e6
# As many as a day at 1 Hz has units: fewer channels a block, and each frame file would be opened more than once.
_BLOCKS_WANTED = 12
# What an open frame file keeps in memory: frameCPP's buffer, its table of contents by name, and the vector last read.
_STREAM_BYTES, _NAME_BYTES, _STREAMS_BUDGET = 1.05e6, 300, 120e6
# Seconds to open a file, to read a name of its table of contents, a vector, a sample: for choosing a cut.
_OPEN, _NAME, _VECTOR, _SAMPLE = 1e-4, 7e-7, 15e-6, 11e-9
# And to copy, hash and tell a byte of an earlier result.
_KEPT = 2e-9


class Block(NamedTuple):
    """Channels (positions in the plan's list) and a span in seconds from the start of the window."""

    id: str
    channels: tuple
    start: float
    end: float


class Plan(NamedTuple):
    """All that the extraction of a day is made from; see extract-increment.

    dirty: increments to read for every channel.  fresh: positions of channels of which all is read.
    keep: path of the earlier day file that holds the rest, or ''.
    """

    window: Window
    increment: int
    compression: str
    frames: list
    channels: list
    keep: str
    dirty: list
    fresh: list
    blocks: list

    @property
    def increments(self):
        return math.ceil(self.window.duration / self.increment)

    @property
    def rebuilds(self) -> bool:
        """Whether the reading asks the earlier result: for units that are read in part, or frames that are gone."""
        return bool(self.dirty) or any(frame.status == catalog.KEPT for frame in self.frames)


def make(
    window: Window,
    increment: int,
    compression: str,
    listing: list,
    wanted: list,
    keep: Earlier | None = None,
    shrink: bool = False,
) -> Plan:
    """Plan a day: window, increment in s, compression, catalog.Frames, channels.Channels.

    keep: an earlier result, or None.  Increments that no changed frame touches, and channels that it already has, are
    not planned.  Samples are kept whose frames are gone, or are no longer what they were, and so are channels that left
    the list; shrink: neither is.
    """
    count = math.ceil(window.duration / increment)
    dirty, fresh = list(range(count)), list(range(len(wanted)))
    held = keep if keep is not None and keep.fits(window, increment, compression) else None
    if held:
        if not shrink:
            listing = catalog.with_kept(listing, held.gave())
            listed = {channel.name for channel in wanted}
            wanted = wanted + [Channel(name) for name in held.day.datasets if name not in listed]
        # A frame of which something is still to be read is another one, once it is no longer kept.
        back = held.untold() - set(listing)
        before = [frame._replace(mtime=-1) if frame in back else frame for frame in held.frames]
        dirty = sorted(_touched(before, listing, window, increment))
        fresh = [at for at, channel in enumerate(wanted) if channel.name not in held]
        wanted = [_as_held(channel, held) for channel in wanted]
    plan = Plan(window, increment, compression, listing, wanted, held.path if held else "", dirty, fresh, [])
    old = sorted(set(range(len(wanted))) - set(fresh))
    plan.blocks.extend(_cut_all(plan, fresh, range(count), ""))
    if dirty:
        plan.blocks.extend(_cut_all(plan, old, dirty, held.digest if held else ""))
    return plan


def _as_held(channel, keep):
    """A channel with the rate and dtype of the earlier result: its units are the ones to rebuild."""
    where, dtype = keep.grid_of(channel.name) if channel.name in keep else (None, None)
    if where is None:
        return channel
    return channel._replace(rate=where.rate, dtype=dtype.name)


def _touched(before, after, window, increment):
    """Increments that any frame file overlaps which is new, gone or not what it was."""
    hit = set()
    for frame in set(map(catalog.identity, before)) ^ set(map(catalog.identity, after)):
        first = math.floor((max(frame.start, window.start) - window.start) / increment)
        last = math.ceil((min(frame.end, window.end) - window.start) / increment)
        hit.update(range(first, last))
    return hit


def _cut_all(plan, positions, increments, kept):
    """Blocks for these channels over these increments; channels whose units are equally long go together."""
    classes = {}
    duration = plan.window.duration
    for at in positions:
        rate = plan.channels[at].rate or 1.0
        unit = min(grid.cut(rate, plan.increment, duration).unit / rate, duration)
        if unit > duration * (1 - 1e-9):
            unit = float(duration)
        classes.setdefault(round(unit, 9), []).append(at)
    for unit, members in sorted(classes.items()):
        yield from _cut(plan, unit, members, increments, kept)


def _cut(plan, unit, members, increments, kept):
    count = math.ceil(plan.window.duration / unit - 1e-9)
    if len(increments) == plan.increments:
        wanted = list(range(count))
    else:
        spans = [(i * plan.increment, (i + 1) * plan.increment) for i in increments]
        wanted = sorted(
            {
                u
                for start, end in spans
                for u in range(math.floor(start / unit + 1e-9), min(count, math.ceil(end / unit - 1e-9)))
            }
        )
    size = sorted(
        ((plan.channels[at].rate or 1.0) * (8 if plan.channels[at].dtype == "float64" else 4) for at in members),
        reverse=True,
    )
    per_window, per_block = _shape(plan, unit, len(wanted), size)
    for run in runs(wanted):
        for first in range(run[0], run[1], per_window):
            start = first * unit
            end = min(min(first + per_window, run[1]) * unit, plan.window.duration)
            for at in range(0, len(members), per_block):
                yield _block(plan, tuple(members[at : at + per_block]), start, end, kept)


def seconds(plan: Plan) -> float:
    """About how many seconds one process takes to read what is planned, and to go on with the earlier result."""
    used = [frame for frame in plan.frames if frame.status == catalog.USED]
    names = max(len(plan.channels), 1000)
    total = _KEPT * os.path.getsize(plan.keep) if plan.keep else 0.0
    for block in plan.blocks:
        begin, stop = plan.window.start + block.start, plan.window.start + block.end
        opened = sum(frame.start < stop and frame.end > begin for frame in used)
        samples = sum(plan.channels[at].rate or 1.0 for at in block.channels) * (block.end - block.start)
        total += opened * (_OPEN + _NAME * names + _VECTOR * len(block.channels)) + _SAMPLE * samples
    return total


def to_fetch(plan: Plan) -> list:
    """The catalog.Frames at URLs that are read of what is planned, in their order."""
    width, start = plan.increment, plan.window.start
    every = bool(plan.fresh) or not plan.keep
    spans = [(start + a * width, start + b * width) for a, b in runs(plan.dirty)]
    return [
        frame
        for frame in plan.frames
        if frame.is_remote
        and frame.status == catalog.USED
        and (every or any(frame.start < b and frame.end > a for a, b in spans))
    ]


def runs(values: list) -> list:
    """Consecutive whole numbers as half-open runs [(first, end)]."""
    found: list = []
    for value in values:
        if found and found[-1][1] == value:
            found[-1] = (found[-1][0], value + 1)
        else:
            found.append((value, value + 1))
    return found


def streams_kept(names: int, vector: float) -> int:
    """How many open frame files, each of so many names and with a vector of so many bytes read, a process may keep."""
    return max(2, int(_STREAMS_BUDGET / (_STREAM_BYTES + _NAME_BYTES * names + vector)))


def _shape(plan, unit, units, rates):
    """(units a window, channels a block) of the cheapest cut that fits in memory.

    rates: bytes a second of each channel, the largest first.  Cutting by time decompresses the frames at
    each cut twice; cutting by channel opens each frame file once more, unless the processes, two say, can keep it open.
    """
    used = [frame for frame in plan.frames if frame.status == catalog.USED]
    total = sum(rates) * unit * units
    # The statistics of a unit take the samples of one channel as float64, beside those of all.
    budget = min(BUDGET, max(_SMALL, total / _BLOCKS_WANTED), 1.5 * BUDGET - 2 * rates[0] * unit)
    names = max(len(plan.channels), 1000)
    mean = sum(rates) / len(rates)
    typical = sorted(frame.duration for frame in used)[len(used) // 2] if used else plan.increment
    vector = _VECTOR + _SAMPLE * typical * mean / 4
    best = None
    for windows in range(1, units + 1):
        width = math.ceil(units / windows)
        each = int(budget / (rates[0] * unit * width))
        if each < 1:
            # Of so long a span not one channel fits; a unit is read whole, whatever it takes.
            if width > 1:
                continue
            each = 1
        blocks = math.ceil(len(rates) / each)
        opened = len(used) * width / max(1, units) + 1
        times = min(2, blocks) if opened <= streams_kept(names, typical * rates[0]) else blocks
        cost = windows * times * opened * (_OPEN + _NAME * names) + (windows - 1) * len(rates) * vector
        if best is None or cost < best[0]:
            best = (cost, width, each)
    return best[1:]


def _block(plan, members, start, end, kept):
    begin, stop = plan.window.start + start, plan.window.start + end
    made_of = [
        layout.LAYOUT,
        plan.window,
        plan.increment,
        plan.compression,
        [start, end],
        [plan.channels[at].name for at in members],
        [frame for frame in plan.frames if frame.start < stop and frame.end > begin],
        [kept, plan.dirty] if kept else [],
        files.boot(),
    ]
    digest = hashlib.sha256(json.dumps(made_of).encode("utf-8", "surrogateescape")).hexdigest()
    return Block(digest[:24], members, start, end)


def part_path(folder: str, block: Block) -> str:
    """The path of the part file of a block."""
    return os.path.join(folder, f"{block.id}.h5")


def save(plan: Plan, folder: str) -> None:
    """Write the plan beside its parts."""
    os.makedirs(folder, exist_ok=True)
    files.write_if_changed(os.path.join(folder, PLAN), json.dumps(plan._asdict()) + "\n", durable=False)


def load(folder: str) -> Plan:
    """The plan of a folder of parts; BadInput if there is none."""
    try:
        with files.opened(os.path.join(folder, PLAN), encoding="utf-8") as source:
            plan = Plan(**json.load(source))
    except FileNotFoundError:
        raise BadInput(f"no plan of extract-increment in folder: {folder!r}") from None
    except (ValueError, TypeError):
        raise BadInput(f"not a plan of extract-increment: {os.path.join(folder, PLAN)!r}") from None
    return plan._replace(
        window=Window(*plan.window),
        frames=[catalog.Frame(*frame) for frame in plan.frames],
        channels=[Channel(*channel) for channel in plan.channels],
        blocks=[Block(b[0], tuple(b[1]), b[2], b[3]) for b in plan.blocks],
    )
