"""Days as one thing to ask: what open_days gives to programs."""

from collections.abc import Callable, Sequence
from typing import Any, overload

from .. import gps
from ..errors import BadInput
from . import find, series, why, within
from .opened import OpenDays
from .segments import Segments, Span, common, of_channel, of_state
from .series import Series, SeriesDict


class Days(OpenDays):
    """The days of an output folder, asked for samples, channels, segments and reasons.

    A time is GPS seconds, UTC text or a datetime (see gps.seconds).  A span is [start, end); left out, it begins with
    the first day, or ends with the last, that is there.  A day that is built while this is open is seen.
    """

    def channels(
        self,
        first: str | None = None,
        last: str | None = None,
        *,
        segments: Sequence[Span] | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
        **wanted: Any,
    ) -> list[find.Found]:
        """The channels of the days from first to last 'YYYY-MM-DD', both included, each with its coverage: find.Found.

        segments: spans in GPS seconds, in order; only what lies in them counts (see within).  progress: called with how
        many of all day files were looked at.
        wanted: coverage (at least so much, 0 to 1), rate in Hz, unit, match (a pattern of names with * ? []), worst
        (the least covered first).  What is read of a day file is kept in the folder, so that it is read once.  Raises
        BadInput if a day file cannot be read.
        """
        if segments is None:
            found = find.channels(self, first, last, progress)
        else:
            found = within.channels(self, segments, first, last, progress)
        return find.chosen(found, **wanted)

    @overload
    def read(self, names: str, start: Any = None, end: Any = None, *, convert: bool = False) -> Series: ...

    @overload
    def read(
        self, names: list[str] | tuple[str, ...], start: Any = None, end: Any = None, *, convert: bool = False
    ) -> SeriesDict: ...

    def read(self, names: Any, start: Any = None, end: Any = None, *, convert: bool = False) -> Any:
        """A channel in a span, as a Series; several, given as a list, as a SeriesDict.

        The samples are those whose time lies in the span, NaN where there is none.  Raises BadInput if no day of the
        span has a channel; if a day file cannot be read; and if the rate, grid, dtype or unit changes within the span.
        convert: a smaller dtype becomes the larger, and a unit the one that most days have; see split for the rest.
        """
        begin, stop = self._span(start, end)
        if isinstance(names, str):
            return series.plan(self, names, begin, stop, convert=convert)[0]
        return SeriesDict((name, series.plan(self, name, begin, stop, convert=convert)[0]) for name in names)

    def split(self, name: str, start: Any = None, end: Any = None) -> list[Series]:
        """A channel that changes within a span: a Series over all of it for each rate, grid, dtype and unit."""
        begin, stop = self._span(start, end)
        return series.plan(self, name, begin, stop, split=True)

    def segments(
        self,
        name: str | None,
        start: Any = None,
        end: Any = None,
        *,
        state: str | None = None,
        segments: Sequence[Span] | None = None,
        shortest: float = 0,
    ) -> Segments:
        """The segments of a channel in a span, in GPS seconds: active where it has data, known where days are built.

        state: in place of a channel, an expression over channels; active where it holds, known where each has data:
        'V1:META_ITF_LOCK_index >= 130 and V1:FLAG == 1'.  segments: spans in GPS seconds, in order, if only what lies
        in them is told.  shortest: in s; shorter active segments are left out.
        Raises BadInput if a day file cannot be read, and for a text that is no expression.
        """
        begin, stop = self._span(start, end)
        if (name is None) == (state is None):
            raise BadInput("segments are of a channel or of a state: one of them")
        if state is not None:
            found = of_state(self, state, begin, stop)
        else:
            assert name is not None
            found = of_channel(self, name, begin, stop)
        return (found if segments is None else found.within(segments)).longer_than(shortest)

    def why(
        self, name: str, start: Any, end: Any = None, *, segments: Sequence[Span] | None = None
    ) -> list[why.Missing]:
        """Why a channel has no sample at a time, or in a span: the spans without data with their reasons.

        segments: spans in GPS seconds, in order, if only what lies in them is told.  Empty if nothing is missing.
        Frame files at URLs are fetched, as far as only they tell.  Raises BadInput if a day file cannot be read.
        """
        begin = gps.seconds(start)
        stop = gps.seconds(end) if end is not None else None
        found = series.missing(self, name, begin, stop, fetch=True)
        if segments is None:
            return found
        inside = (common([(each.start, each.end)], segments) for each in found)
        return [each._replace(start=a, end=b) for each, spans in zip(found, inside, strict=True) for a, b in spans]

    def _span(self, start: Any, end: Any) -> tuple[float, float]:
        begin = self.span().start if start is None else gps.seconds(start)
        stop = self.span().end if end is None else gps.seconds(end)
        return begin, stop


def open_days(out: str, spec: str | None = None) -> Days:
    """The days of an output folder of make, of the converter before it or of export-streams; or one day file.

    spec: which of several SPECs.  Raises BadInput if there is no day, or there are several SPECs and none is named.
    """
    return Days(out, spec)
