"""What a request asks: its parameters, checked and within limits, or a refusal that says what is wrong."""

import re
from collections.abc import Collection

from werkzeug.datastructures import MultiDict

from .. import gps
from ..errors import BadInput
from ..streams import reading

NAMES, POINTS, ALL_POINTS, TIMES = 16, 10_000, 50_000, 1000
# lal counts GPS seconds in 32 bits; a text that is longer than any time is none.
_LATEST, _TEXT = 2**31 - 1, 40
_YEAR = re.compile(r"(\d{4})-")
_LAST_YEAR = 2047
_COUNT = re.compile(r"[0-9]{1,9}")


class Refused(Exception):
    """A request that gets no data: HTTP status and one line that says why."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def time(text: str) -> float:
    """GPS seconds of GPS or UTC text; Refused if it is no time, or one that lal cannot count."""
    year = _YEAR.match(text)
    if len(text) > _TEXT or (year and int(year[1]) > _LAST_YEAR):
        raise Refused(400, f"no such time, want GPS seconds or UTC before 2048: {text[:_TEXT]!r}")
    try:
        value = gps.parse(text)
    except BadInput as error:
        raise Refused(400, str(error)) from None
    if value > _LATEST:
        raise Refused(400, f"no such time, want GPS seconds up to {_LATEST}: {text!r}")
    return value


class Query:
    """The parameters of one request; Refused if there is one that is not `known`."""

    def __init__(self, args: MultiDict[str, str], known: Collection[str]):
        for name in args:
            if name not in known:
                raise Refused(400, f"no such parameter, want {', '.join(known) or 'none'}: {name[:_TEXT]!r}")
        self.args = args

    def text(self, name: str, default: str | None = None) -> str:
        """The one value of a parameter; Refused if it is given twice, or is not given and has no default."""
        found = self.args.getlist(name)
        if len(found) > 1:
            raise Refused(400, f"parameter given {len(found)} times: {name!r}")
        if found:
            return found[0]
        if default is None:
            raise Refused(400, f"parameter missing: {name!r}")
        return default

    def names(self) -> list[str]:
        """The values of `name`: one to NAMES different ones."""
        found = list(dict.fromkeys(self.args.getlist("name")))
        if not found:
            raise Refused(400, "parameter missing: 'name'")
        if len(found) > NAMES:
            raise Refused(400, f"at most {NAMES} names a request: {len(found)}")
        return found

    def kind(self) -> str:
        """'mean', which it is if not given, or 'rms'."""
        kind = self.text("kind", reading.MEAN)
        if kind not in (reading.MEAN, reading.RMS):
            raise Refused(400, f"no such kind, want mean or rms: {kind[:_TEXT]!r}")
        return kind

    def flag(self, name: str) -> bool:
        """Whether a parameter is 1; 0, which it is if not given, is no."""
        text = self.text(name, "0")
        if text not in ("0", "1"):
            raise Refused(400, f"{name} is 1 or 0: {text[:_TEXT]!r}")
        return text == "1"

    def span(self) -> tuple[float, float]:
        """(start, end) in GPS s, start < end."""
        start, end = time(self.text("start")), time(self.text("end"))
        if start >= end:
            raise Refused(400, f"the span is empty: {self.text('start')!r} to {self.text('end')!r}")
        return start, end

    def points(self, names: int, default: int | None) -> int | None:
        """How many points each of so many names is to have; `default` if not given."""
        text = self.text("points", "")
        if not text:
            return default
        if not _COUNT.fullmatch(text) or not 0 < int(text) <= POINTS:
            raise Refused(400, f"the number of points is from 1 to {POINTS}: {text[:_TEXT]!r}")
        if int(text) * names > ALL_POINTS:
            raise Refused(400, f"at most {ALL_POINTS} points a request, of all names together: {int(text) * names}")
        return int(text)

    def times(self) -> list[float]:
        """The GPS seconds of each `t`, one to TIMES."""
        found = self.args.getlist("t")
        if not 0 < len(found) <= TIMES:
            raise Refused(400, f"want 1 to {TIMES} times t: {len(found)}")
        return [time(text) for text in found]
