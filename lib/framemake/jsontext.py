"""JSON that is large: a few members of an object without decoding the rest, and how we write it."""

import functools
import json
import re
from collections.abc import Callable, Collection
from typing import Any

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


def indented(value: Any, level: int = 0) -> str:
    """As json.dumps(value, indent=1), a third of its time: that of Python is used for all that is indented.

    level: that of what is around it.  The names of members must be str.
    """
    if not isinstance(value, (dict, list, tuple)):
        return json.dumps(value)
    inner, (begin, end) = (value.values(), "{}") if isinstance(value, dict) else (value, "[]")
    if not value:
        return begin + end
    margin = "\n" + " " * (level + 1)
    if not any(isinstance(each, (dict, list, tuple)) for each in inner):
        between = _encoder(level)(value)[1:-1]
    else:
        texts = [indented(each, level + 1) for each in inner]
        if begin == "{":
            texts = [f"{json.dumps(name)}: {text}" for name, text in zip(value, texts, strict=True)]
        between = f",{margin}".join(texts)
    return begin + margin + between + margin[:-1] + end


@functools.cache
def _encoder(level: int) -> Callable[[Any], str]:
    """Of what holds nothing that holds something: the level is in what stands between its members alone."""
    return json.JSONEncoder(separators=(",\n" + " " * (level + 1), ": ")).encode


def members(text: str, names: Collection[str]) -> dict[str, Any]:
    """The members of these names of the object that a JSON text holds, whatever their order and the white space.

    The list of frames is most of what a day's provenance or summary holds, and is written after what is asked most:
    members are decoded one after another, and none after the last that was wanted.  A name that the object does not
    have is not in the result.  Of a name that is there twice the first counts.  Raises ValueError if the text, as far
    as it had to be looked at, is no JSON object.
    """
    wanted = set(names)
    found: dict[str, Any] = {}
    at = _after(text, 0, "{")
    if text[at : at + 1] == "}":
        at += 1
    else:
        while len(found) < len(wanted):
            name, at = _DECODER.raw_decode(text, at)
            if not isinstance(name, str):
                raise json.JSONDecodeError("Expecting a member's name in double quotes", text, at)
            value, at = _DECODER.raw_decode(text, _after(text, at, ":"))
            if name in wanted:
                found.setdefault(name, value)
            at = _skipped(text, at)
            if text[at : at + 1] == "}":
                at += 1
                break
            at = _after(text, at, ",")
        else:
            return found
    if _skipped(text, at) != len(text):
        raise json.JSONDecodeError("Extra data", text, at)
    return found


def _skipped(text, at):
    """The place of the next character that is no white space."""
    return _SPACE.match(text, at).end()


def _after(text, at, mark):
    """The place of what follows a mark, which comes next, and the white space around it."""
    at = _skipped(text, at)
    if text[at : at + 1] != mark:
        raise json.JSONDecodeError(f"Expecting {mark!r}", text, at)
    return _skipped(text, at + 1)
