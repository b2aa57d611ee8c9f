"""The interface of the server of streams and day datasets.  Answers are JSON, times GPS seconds.

GET /api/streams
    {"streams": [{"name", "site", "subsystem", "station", "sensor", "title", "kind", "channel", "sampling", "unit",
    "first", "last"}, ...], "words": {part of a name: {its text: what it means}}}
    title: the name in words, or empty.  kind: mean or rms, what tells most of such a sensor.  channel: of LIGO's
    frames, or empty.  first and last are the times of the first and the last record.  sampling is the time between two
    samples, as "60 s", or "1 s, 60 s" where it changes.  They are null where they are not known; "problem" says why, if
    something is wrong.
GET /api/values?name=NAME&start=TIME&end=TIME[&name=...][&kind=mean|rms][&points=N][&band=1]
    {"kind", "start", "end", "series": [{"name", "unit", "step", "times": [...], "values": [...]}, ...]}
    The span is cut into N equal points of step seconds; step is null where each record is a point.  times has the
    beginning of each; values are null where there is no data.
    Without points: each record of the span if there are at most 800, else 800 points.
    &band=1 gives "min" and "max" beside "values": the smallest and the largest sample that begins in each point, which
    is a mean, or an rms, as the frames had it, of a second or a minute.
GET /api/days
    {"days": [{"day", "spec", "status", "start", "end", "file", "channels", "coverage", "finished", "error", "absent",
    "damaged"}, ...]}
    The days of a folder of day datasets, end excluded.  file: whether the day has a file.  channels: how many it has.
    coverage: part of the samples that are there.  finished: UTC; error: of its last attempt.  These are null if not
    known, as without a summary.  absent, damaged: files.
GET /api/channels[?spec=SPEC]
    {"channels": [{"name", "rate", "unit", "spec", "subsystem", "title"}, ...]}
    The channels of all days.  rate, in Hz, and unit are those of the last day that has the channel.
GET /api/day-values?name=CHANNEL&start=TIME&end=TIME[&name=...][&spec=SPEC][&points=N]
    {"start", "end", "series": [{"name", "unit", "times", "min", "max", "mean", "covered"}, ...]}
    The span is cut into at most N points (800 if not given).  times has the beginning of each; a point ends where the
    next begins, the last one at end.  min, max and mean are those of the good samples that begin in the point, null
    where there are none; covered is the part of the point that has samples, 0 to 1.  If the samples are too many to be
    read, points begin and end on the units of which the day files keep statistics.  They may then be fewer than N and
    differ in length, but min, max and mean are still those of all good samples in them.  "problem" is there if
    something was left out, such as days with another unit.
GET /api/missing?name=CHANNEL&start=TIME&end=TIME[&spec=SPEC]
    {"missing": [{"start", "end", "kind", "detail", "file", "day"}, ...], "more"}
    The spans without samples, each with its reason, as the day notes it; of two days at most, of fast channels of less,
    and 20.  No frame file is opened, as why-missing does where only that tells.  more: whether there may be others.
GET /api/status
    {"now", "findings": [{"status", "text"}], "faults": [{"kind", "name", "where", "reason"}], "more", "night"}
    What check-nightly knows, what is faulty now, and how the last night went (null if no report of it is given).
GET /api/time?t=TIME[&t=...]
    {"gps", "utc", "times": [{"gps", "utc"}, ...]}
    1 to 1000 times, each as GPS seconds and as UTC with leap seconds.  gps and utc are those of the first.
GET /api/span?from=TEXT[&to=TEXT]
    {"now", "start", "end"}
    What a person means by a text: 2018, 2018-03, 5 March 2018, now, -3d, 'A to B'.  A text with several meanings is
    refused with them.  start and end are null if nothing was said of them.  now is the clock of this machine.
GET /health
    {"status": "ok", "streams": how many, "version"}; status 503 if the streams cannot be read.

TIME is GPS seconds or UTC, 2016-05-22 or 2016-05-22T10:20:30.  name can be given 16 times.  N is at most 10000, and
50000 for all names together.  &format=csv (or the header Accept: text/csv) gives the same as a table, with a row for
each point or entry, and empty fields for null.  &format=sheet gives values as a spreadsheet wants them: UTC, GPS, and
a column for each value, with its name and unit in the head.  Each answer has an ETag; If-None-Match gives 304 while
nothing has changed.  Errors are {"error": what is wrong} with a status of 400 (the request is wrong), 404 (no such
name), 414 (the address is too long) or 503 (try again: what was asked for is changing, or the server is busy).

POST / with file, recsz and records is the protocol of the e-Lab's clients.
"""

from collections.abc import Callable

import numpy as np
from werkzeug.wrappers import Request, Response

from .. import gps
from ..errors import BadInput
from ..frames import names as channel_names
from ..version import version
from . import answers
from . import times as typed_times
from .days import ServedDays
from .holes import Holes
from .query import Query, Refused
from .standing import Standing
from .streams import ServedStreams

_NO_CACHE = "no-cache"


class Interface:
    """What is answered under /api and at /health.  addresses: {path: function of a request that gives a response}."""

    def __init__(self, streams: ServedStreams, days: ServedDays | None, standing: Standing | None = None):
        self.streams, self.days, self.version = streams, days, version()
        self.holes = Holes(days.out) if days else None
        self.standing = standing or Standing(streams.folder, days.out if days else "")
        self.addresses: dict[str, Callable[[Request], Response]] = {
            "/api": self._manual,
            "/api/streams": self._streams,
            "/api/values": self._values,
            "/api/days": self._days,
            "/api/channels": self._channels,
            "/api/day-values": self._day_values,
            "/api/missing": self._missing,
            "/api/status": self._status,
            "/api/time": self._time,
            "/api/span": self._span,
            "/health": self._health,
        }

    def _manual(self, request):
        Query(request.args, ())
        return _fresh(request, Response(__doc__, content_type=f"{answers.PLAIN}; charset=utf-8"))

    def _health(self, request):
        Query(request.args, ())
        response = answers.as_json({"status": "ok", "streams": len(self.streams.names()), "version": self.version})
        response.headers["Cache-Control"] = "no-store"
        return response

    def _time(self, request):
        query = Query(request.args, ("t", "format"))
        told = [{"gps": time, "utc": _utc(time)} for time in query.times()]
        if _wants_csv(request, query):
            response = _fresh(request, _table("time", told))
        else:
            response = _fresh(request, answers.as_json({**told[0], "times": told}))
        # Only a leap second that is newly announced changes it.
        response.headers["Cache-Control"] = "public, max-age=86400"
        return response

    def _span(self, request):
        query = Query(request.args, ("from", "to"))
        now = gps.parse(gps.now_utc())
        try:
            start, end = typed_times.span(query.text("from", ""), query.text("to", ""), now)
        except BadInput as error:
            raise Refused(400, str(error)) from None
        response = answers.as_json({"now": now, "start": start, "end": end})
        response.headers["Cache-Control"] = "no-store"
        return response

    def _streams(self, request):
        query = Query(request.args, ("format",))
        entries = self.streams.listing()
        if _wants_csv(request, query):
            columns = ("name", "site", "subsystem", "station", "sensor", "sampling", "unit", "first", "last")
            return _fresh(request, _table("streams", entries, (*columns, "title", "kind", "channel")))
        return _fresh(request, answers.as_json({"streams": entries, "words": channel_names.words()}))

    def _values(self, request):
        query = Query(request.args, ("name", "kind", "start", "end", "points", "band", "format"))
        names, kind, (start, end), band = query.names(), query.kind(), query.span(), query.flag("band")
        points, form = query.points(len(names), None), _form(request, query)
        # Taken before the streams are opened: never newer than what is in the answer.
        tag = answers.tag_of(self.version, [self.streams.tag(name) for name in names], request.query_string, form)
        if request.if_none_match.contains_weak(tag):
            return _not_modified(tag)
        found = self.streams.curves(names, kind, start, end, points, band)
        keys = (kind, "min", "max") if band else (kind,)
        steps = {curve.name: curve.step for curve in found}
        held = [
            (curve.name, curve.unit, curve.times, (curve.values, curve.low, curve.high)[: len(keys)]) for curve in found
        ]
        if form != "json":
            heads = [f"{kind}", f"min of {kind}", f"max of {kind}"][: len(keys)]
            return _tagged(_as_table(form, held, keys, heads, answers.file_name(names, kind, start, end)), tag)
        series = [
            {"name": name, "unit": unit, "step": steps[name], "times": times.tolist()}
            | dict(zip(("values", *keys[1:]), map(answers.numbers, parts), strict=True))
            for name, unit, times, parts in held
        ]
        return _tagged(answers.as_json({"kind": kind, "start": start, "end": end, "series": series}), tag)

    def _missing(self, request):
        query = Query(request.args, ("name", "spec", "start", "end"))
        (start, end), name, spec = query.span(), query.text("name"), query.text("spec", "")
        if not self.days or not self.holes:
            raise Refused(404, "no day datasets are served here (serve-streams STREAMS OUT)")
        response = answers.as_json(self.holes.missing(name, *self.days.known(name, spec), start, end))
        response.headers["Cache-Control"] = _NO_CACHE
        return response

    def _status(self, request):
        Query(request.args, ())
        return _fresh(request, answers.as_json(self.standing.now()))

    def _days(self, request):
        query = Query(request.args, ("format",))
        entries = self.days.listing() if self.days else []
        if _wants_csv(request, query):
            return _fresh(request, _table("days", entries, ("day", "spec", "status", "start", "end", "channels")))
        return _fresh(request, answers.as_json({"days": entries}))

    def _channels(self, request):
        query = Query(request.args, ("spec", "format"))
        entries = self.days.channels(query.text("spec", "")) if self.days else []
        if _wants_csv(request, query):
            return _fresh(request, _table("channels", entries, ("name", "rate", "unit", "spec")))
        return _fresh(request, answers.as_json({"channels": entries}))

    def _day_values(self, request):
        query = Query(request.args, ("name", "spec", "start", "end", "points", "format"))
        names, (start, end), spec = query.names(), query.span(), query.text("spec", "")
        points, form = query.points(len(names), 800), _form(request, query)
        if not self.days:
            raise Refused(404, "no day datasets are served here (serve-streams STREAMS OUT)")
        tag = answers.tag_of(self.version, self.days.tag(start, end), request.query_string, form)
        if request.if_none_match.contains_weak(tag):
            return _not_modified(tag)
        found = self.days.curves(names, spec, start, end, points)
        keys = ("min", "max", "mean")
        held = [
            (name, curve.unit, curve.times, (curve.min, curve.max, curve.mean))
            for name, curve in zip(names, found, strict=True)
        ]
        if form != "json":
            return _tagged(_as_table(form, held, keys, keys, answers.file_name(names, "day", start, end)), tag)
        series = [
            {"name": name, "unit": unit, "times": times.tolist()}
            | dict(zip(keys, map(answers.numbers, parts), strict=True))
            for name, unit, times, parts in held
        ]
        for entry, curve in zip(series, found, strict=True):
            entry["covered"] = np.round(curve.covered, 6).tolist()
            if curve.problem:
                entry["problem"] = curve.problem
        return _tagged(answers.as_json({"start": start, "end": end, "series": series}), tag)


def _as_table(form, held, keys, heads, name):
    """CSV of [(name, unit, times, arrays of values)]: a row a point of each, or a sheet with a column a value."""
    if form == "sheet":
        columns = [
            (f"{channel} {head} ({unit or 'no unit'})", times, values)
            for channel, unit, times, parts in held
            for head, values in zip(heads, parts, strict=True)
        ]
        return answers.as_sheet(columns, name)
    rows = (
        (channel, unit, *row)
        for channel, unit, times, parts in held
        for row in zip(times.tolist(), *map(answers.numbers, parts), strict=True)
    )
    return answers.as_csv(("name", "unit", "gps", *keys), rows, name)


def _form(request, query):
    """'json', 'csv' or 'sheet': how values are wanted."""
    if query.text("format", "") == "sheet":
        return "sheet"
    return "csv" if _wants_csv(request, query) else "json"


def _wants_csv(request, query):
    asked = query.text("format", "")
    if asked not in ("", "csv", "json"):
        raise Refused(400, f"no such format, want json, csv, or for values sheet: {asked[:40]!r}")
    best = request.accept_mimetypes.best_match((answers.JSON, answers.CSV), answers.JSON)
    return (asked or best) in ("csv", answers.CSV)


def _utc(time):
    """UTC text of a GPS time, with its fraction of a second to the microsecond."""
    whole = gps.utc(time)
    return whole + f"{time % 1:.6f}"[1:].rstrip("0") if time % 1 else whole


def _table(name, entries, columns=("gps", "utc")):
    return answers.as_csv(columns, ([entry[column] for column in columns] for entry in entries), name)


def _fresh(request, response):
    """A response whose ETag is that of its bytes, or 304."""
    response.headers["Cache-Control"], response.headers["Vary"] = _NO_CACHE, "Accept"
    response.add_etag()
    return response.make_conditional(request)


def _tagged(response, tag):
    response.headers["Cache-Control"], response.headers["Vary"] = _NO_CACHE, "Accept"
    response.set_etag(tag)
    return response


def _not_modified(tag):
    return _tagged(Response(status=304), tag)
