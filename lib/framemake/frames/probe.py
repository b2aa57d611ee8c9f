"""What the frames say of the channels of a list: which are there, with what rate, kind, dtype and unit."""

import math
from collections.abc import Container, Sequence
from typing import NamedTuple

from .. import grid, gwf
from ..errors import wording
from . import catalog
from .channels import Channel, Rejected, unfit


class Found(NamedTuple):
    """What looking for channels in frame files gave.

    channels: those that can be read, in the order of the list, with what the frames say of them; rejected: the
    others; unread: (path, reason) of files that cannot be read.
    """

    channels: list[Channel]
    rejected: list[Rejected]
    unread: list[tuple[str, str]]


def find_channels(wanted: Sequence[Channel], frames: Sequence[catalog.Frame], most: int | None = None) -> Found:
    """Look for channels in frame files until each is found, or in `most` of the files, spread over the span.

    frames: of a listing; only those that are used are opened.  A file that cannot be read does not count to `most`.
    With `most`, a channel that is in none of the files looked into stays among the channels, with nothing known.
    """
    rejected = [Rejected(c.name, "invalid", unfit(c.name)) for c in wanted if unfit(c.name)]
    nameless = {entry.name for entry in rejected}
    left = {channel.name for channel in wanted} - nameless
    found: dict[str, Channel] = {}
    problems: dict[str, str] = {}
    unread = []
    used = [frame for frame in frames if frame.status == catalog.USED]
    looked = 0
    for frame in _spread(used):
        if not left or (most and looked >= most):
            break
        try:
            file = gwf.open_file(frame.path)
            kinds = file.kinds
        except (gwf.BadFrame, OSError) as error:
            unread.append((frame.path, wording(error)))
            continue
        looked += 1
        here = sorted(left & kinds.keys())
        described = file.describe_all(here)
        for name in here:
            channel = _describe(file, name, kinds[name], described.get(name))
            if isinstance(channel, str):
                problems.setdefault(name, channel)
            elif channel is not None:
                found[name] = channel
                left.discard(name)
    kept = []
    for channel in wanted:
        name = channel.name
        if name in nameless:
            continue
        if name in found:
            kept.append(found[name])
        elif name in problems:
            rejected.append(Rejected(name, "pruned", problems[name]))
        elif most and looked < len(used):
            kept.append(Channel(name))
        else:
            rejected.append(Rejected(name, "invalid", "in no frame"))
    return Found(kept, rejected, unread)


def expect(wanted: Sequence[Channel], frames: Sequence[catalog.Frame], held: Container[str]) -> list[Channel]:
    """The channels of a list, none left out, with what a few frame files say of those that `held` does not name."""
    found = find_channels([channel for channel in wanted if channel.name not in held], frames, 8)
    known = {channel.name: channel for channel in found.channels}
    return [known.get(channel.name, channel) for channel in wanted]


def _spread(used):
    """First, last, middle, quarters, ...: a channel that comes or goes is met after a few files."""
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
    """The channel as a file has it, or why it cannot be used, or None if its vector cannot be read in this file.

    known: what the file has said of it before, if it has.
    """
    try:
        found = known or file.describe(0, name, kind)
    except (gwf.BadFrame, OSError):
        return None
    if found is None or found.problem == gwf.NO_DATA:
        return None
    if found.problem:
        return found.problem
    if not found.dt > 0:
        return f"no sample rate: spacing {found.dt!r} s"
    dtype = gwf.convertible(found.dtype)
    assert dtype is not None, "a reader names the problem of what is no series of numbers"
    return Channel(name, grid.rate_of(found.dt), kind, dtype.name, found.unit)
