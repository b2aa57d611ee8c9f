"""Channel lists, in every format that is found in the field, and what the frames say of each channel."""

import csv
import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import BadInput

_SECTION = re.compile(r"\[[^\]]*\]")
_SETTING = re.compile(r"[A-Za-z][\w-]*\s*[=]\s*(.*)")
_HEADS = ("channel", "channel_name", "name")
# What stands for a byte that is no UTF-8.
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_BAD_NAME = re.compile(r"[/\x00-\x1f\x7f]")


class Channel(NamedTuple):
    """A channel of a list, and what frames say of it: rate in Hz, kind (adc, proc, sim), numpy dtype, unit.

    A rate of 0 and an empty text are not known.
    """

    name: str
    rate: float = 0.0
    kind: str = ""
    dtype: str = ""
    unit: str = ""


class Rejected(NamedTuple):
    """A channel that the day cannot have, with the reason; status is 'invalid' or 'pruned'."""

    name: str
    status: str
    reason: str


def read(text: str, source: str) -> tuple[list[Channel], list[str]]:
    """The channels of a list: names, `name rate [kind]` lines, ini, JSON, CSV or what prune-channels wrote.

    text: what the list holds; source: what it is called in messages.  Returns (channels, notes): each name once, in
    the order of the list, and what was odd, a line each.  Raises BadInput if nothing in it is a channel.
    """
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        raise BadInput(f"not a list of channels: {source!r}")
    channels: dict[str, Channel] = {}
    notes = []
    for channel in list(_entries(text, source)):
        if channel.name in channels:
            notes.append(f"listed more than once: {channel.name!r}")
        else:
            channels[channel.name] = channel
    if not channels:
        raise BadInput(f"no channel in list: {source!r}")
    return list(channels.values()), notes


def _entries(text: str, source: str) -> Iterator[Channel]:
    """The channels of a list, one after another, those that are listed twice too."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            yield from map(_named, _of_json(json.loads(text)))
            return
        except ValueError as error:
            if not _SECTION.match(text.lstrip()) or '"' in text.lstrip().split("\n")[0]:
                raise BadInput(f"not a list of channels: {source!r}: {error}") from None
    yield from _of_lines(text, source)


def _of_lines(text: str, source: str) -> Iterator[Channel]:
    # In a CSV with a head: where its names are.
    column = None
    for at, line in enumerate(text.splitlines(), 1):
        tabbed = line.split("\t")
        if len(tabbed) == 5:
            yield _of_table(tabbed)
            continue
        if len(tabbed) > 5:
            # The e-Lab's sensor list: site, subsystem, station, sensor and, last, the channel.
            yield from map(_named, [field for field in tabbed if ":" in field][-1:])
            continue
        line = line.split("#", 1)[0].strip()
        if not line or line.startswith(";") or _SECTION.fullmatch(line):
            continue
        setting = _SETTING.fullmatch(line)
        if setting:
            # In an ini the names follow `channels =`, on its line or below it; other settings are not names.
            if not line.lower().startswith("channel") or not setting[1]:
                continue
            line = setting[1]
        if column is None and "," not in line:
            if line.lower() in _HEADS:
                column = 0
            else:
                yield _named(line.split()[0])
            continue
        fields = [field.strip() for field in next(csv.reader([line]))]
        if column is not None:
            if len(fields) <= column:
                raise BadInput(f"line {at} of channel list {source!r} is short: {line!r}")
            if fields[column]:
                yield _named(fields[column])
        else:
            column = _column(fields)
            if column is None:
                yield from map(_named, [field for field in fields if ":" in field] or fields[:1])


def _column(fields):
    """Which field of a line says that the names stand below it; None if the line is no head."""
    heads = [field.lower() for field in fields]
    return next((heads.index(head) for head in _HEADS if head in heads), None)


def _named(name):
    if not isinstance(name, str) or not name.strip():
        raise BadInput(f"not a channel name: {name!r}")
    return Channel(name.strip())


def _of_json(value):
    """Names in a JSON value: a list of names or of objects with a name, or an object by name or section."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for entry in value:
            if isinstance(entry, dict):
                name = next((entry[head] for head in _HEADS if head in entry), None)
                yield name
            elif isinstance(entry, list) and entry:
                yield entry[0]
            else:
                yield entry
    elif isinstance(value, dict):
        inner = next((value[key] for key in ("channels", "names") if key in value), None)
        if inner is not None:
            yield from _of_json(inner)
        elif value and all(isinstance(entry, list) for entry in value.values()):
            for entry in value.values():
                yield from _of_json(entry)
        else:
            yield from value
    else:
        yield value


def _of_table(fields):
    name, rate, kind, dtype, unit = fields
    try:
        return Channel(name, float(rate or 0), kind, dtype, unit)
    except ValueError:
        return Channel(name)


def list_line(name: str) -> str:
    """The line of a name in a list: the name, or a line of a table if a list would take it for another thing."""
    return name if [channel.name for channel in _of_lines(name, "")] == [name] else table_line(Channel(name))


def table_line(channel: Channel) -> str:
    """The line of a channel in a table: name, rate in Hz, kind, dtype, unit; tab-separated, '' is unknown."""
    rate = f"{channel.rate!r}" if channel.rate else ""
    unit = re.sub(r"[\t\r\n]", " ", channel.unit)
    return "\t".join((channel.name, rate, channel.kind, channel.dtype, unit))


def unfit(name: str) -> str:
    """Why a name cannot be that of an HDF5 dataset, or '' if it can."""
    if _BAD_NAME.search(name) or name in (".", "..") or _SURROGATE.search(name):
        return "name cannot be that of a dataset"
    return ""
