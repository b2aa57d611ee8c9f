"""What the frames say of the channels of a list: which are there, with what rate, kind, dtype and unit."""

import itertools
import math
from collections.abc import Container, Sequence
from typing import NamedTuple

from .. import grid, gwf
from ..errors import BadInput, wording
from . import catalog
from .channels import Channel, Rejected, unfit


class Found(NamedTuple):
    """What looking for channels in frame files gave.

    channels: those that can be read, in the order of the list, with what the frames say of them; rejected: the
    others; unread: (path, reason) of files that cannot be read; damaged: (name, reason) of channels that are in files,
    and damaged in each of those that were looked into: they stay among the channels, with nothing known; shared: names
    that several channels of one file have; looked: how many files were looked into.
    """

    channels: list[Channel]
    rejected: list[Rejected]
    unread: list[tuple[str, str]]
    damaged: list[tuple[str, str]]
    shared: list[str]
    looked: int


def find_channels(wanted: Sequence[Channel], frames: Sequence[catalog.Frame], most: int | None = None) -> Found:
    """Look for channels in frame files until each is found, or in `most` of the files, spread over the span.

    frames: of a listing; those that are used are opened, the others only where one of these cannot be read.  A file
    that cannot be read does not count to `most`.  With `most`, a channel that is in none of the files looked into stays
    among the channels, with nothing known.
    Raises BadInput if no frame is there.
    """
    rejected = [Rejected(c.name, "invalid", unfit(c.name)) for c in wanted if unfit(c.name)]
    nameless = {entry.name for entry in rejected}
    left = {channel.name for channel in wanted} - nameless
    found: dict[str, Channel] = {}
    problems: dict[str, str] = {}
    damaged: dict[str, str] = {}
    shared: set[str] = set()
    unread: list[tuple[str, str]] = []
    used = [frame for frame in frames if frame.status == catalog.USED]
    spare = [frame for frame in frames if frame.status in (catalog.DUPLICATE, catalog.COVERED)]
    if left and not used:
        raise BadInput(catalog.none_readable(frames, {}))
    looked = 0
    for frame in itertools.chain(_spread(used), spare):
        if frame.status != catalog.USED and not unread:
            break
        if not left or (most and looked >= most):
            break
        try:
            with catalog.local(frame) as path:
                shared |= _look_into(path, wanted, left, found, problems, damaged)
        except (gwf.BadFrame, OSError) as error:
            unread.append((frame.path, wording(error)))
            continue
        looked += 1
    kept = []
    for channel in wanted:
        name = channel.name
        if name in nameless:
            continue
        if name in found:
            kept.append(found[name])
        elif name in problems:
            rejected.append(Rejected(name, "pruned", problems[name]))
        elif name in damaged or (most and looked < len(used)):
            kept.append(Channel(name))
        else:
            rejected.append(Rejected(name, "invalid", "in no frame"))
    lost = [(channel.name, damaged[channel.name]) for channel in kept if not channel.kind and channel.name in damaged]
    twice = [channel.name for channel in wanted if channel.name in shared]
    return Found(kept, rejected, unread, lost, twice, looked)


def _look_into(path, wanted, left, found, problems, damaged):
    """Take what one file tells of the channels that are left; the names that several channels of it have."""
    file = gwf.open_file(path)
    kinds = file.kinds
    shared = {channel.name for channel in wanted} & set(file.shared) if file.shared else set()
    here = sorted(left & kinds.keys())
    described = file.describe_all(here)
    for name in here:
        try:
            channel = _describe(file, name, kinds[name], described.get(name))
        except (gwf.BadFrame, OSError) as error:
            damaged.setdefault(name, wording(error))
            continue
        if isinstance(channel, str):
            problems.setdefault(name, channel)
        elif channel is not None:
            found[name] = channel
            left.discard(name)
    return shared


def expect(wanted: Sequence[Channel], frames: Sequence[catalog.Frame], held: Container[str]) -> list[Channel]:
    """The channels of a list, none left out, with what a few frame files say of those that `held` does not name."""
    new = [channel for channel in wanted if channel.name not in held]
    found = find_channels(new, frames, 8)
    known = {channel.name: channel for channel in found.channels}
    return [known.get(channel.name, channel) for channel in wanted]


def _spread(used):
    """First, last, middle, quarters, ...: a channel that comes or goes is met after a few files."""
    if not used:
        return []
    order, seen, count = [], set(), len(used)
    for step in (count - 1, *(count / 2**power for power in range(1, 64) if count / 2**power >= 0.5)):
        for number in range(math.ceil(count / step) + 1 if step else 1):
            at = min(count - 1, round(number * step))
            if at not in seen:
                seen.add(at)
                order.append(used[at])
    order += [frame for at, frame in enumerate(used) if at not in seen]
    return order


def _describe(file: gwf.FrameFile, name: str, kind: str, known: gwf.Kind | None) -> Channel | str | None:
    """The channel as a file has it, or why it cannot be used, or None if no frame of the file has data of it.

    known: what the file has said of it before, if it has.  Raises gwf.BadFrame or OSError if it cannot be read.
    """
    found, fault = known, None
    for index in range(len(file.frames)) if known is None else ():
        try:
            found = file.describe(index, name, kind)
        except (gwf.BadFrame, OSError) as error:
            fault = fault or error
            continue
        if found is not None and found.problem != gwf.NO_DATA:
            break
    if found is None or found.problem == gwf.NO_DATA:
        if fault:
            raise fault
        return None
    if found.problem:
        return found.problem
    if not found.dt > 0:
        return f"no sample rate: spacing {found.dt!r} s"
    dtype = gwf.convertible(found.dtype)
    assert dtype is not None, "a reader names the problem of what is no series of numbers"
    return Channel(name, grid.rate_of(found.dt), kind, dtype.name, found.unit)
