"""Days as one thing to ask: what open_days gives to programs."""

from typing import Any, overload

from .. import gps
from ..errors import BadInput
from . import find, segments, series, why
from .opened import OpenDays
from .series import Series, SeriesDict


class Days(OpenDays):
    """The days of an output folder, asked for samples, channels, segments and reasons.

    A time is GPS seconds, UTC text or a datetime (see gps.seconds).  A span is [start, end); left out, it begins with
    the first day, or ends with the last, that is there.  A day that is built while this is open is seen.
    """

    def channels(self, first: str | None = None, last: str | None = None, **wanted: Any) -> list[find.Found]:
        """The channels of the days from first to last 'YYYY-MM-DD', both included, each with its coverage: find.Found.

        wanted: coverage (at least so much, 0 to 1), rate in Hz, unit, match (a pattern of names with * ? []), worst
        (the least covered first).  What is read of a day file is kept in the folder, so that it is read once.  Raises
        BadInput if a day file cannot be read.
        """
        return find.chosen(find.channels(self, first, last), **wanted)

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
        self, name: str | None, start: Any = None, end: Any = None, *, state: str | None = None, shortest: float = 0
    ) -> segments.Segments:
        """The segments of a channel in a span, in GPS seconds: active where it has data, known where days are built.

        state: in place of a channel, an expression over channels; active where it holds, known where each has data:
        'V1:META_ITF_LOCK_index >= 130 and V1:FLAG == 1'.  shortest: in s; shorter active segments are left out.
        Raises BadInput if a day file cannot be read, and for a text that is no expression.
        """
        begin, stop = self._span(start, end)
        if (name is None) == (state is None):
            raise BadInput("segments are of a channel or of a state: one of them")
        if state is not None:
            return segments.of_state(self, state, begin, stop, shortest)
        assert name is not None
        return segments.of_channel(self, name, begin, stop, shortest)

    def why(self, name: str, start: Any, end: Any = None) -> list[why.Missing]:
        """Why a channel has no sample at a time, or in a span: the spans without data with their reasons.

        Empty if nothing is missing.  Frame files at URLs are fetched, as far as only they tell.  Raises BadInput if a
        day file cannot be read.
        """
        begin = gps.seconds(start)
        stop = gps.seconds(end) if end is not None else None
        return series.missing(self, name, begin, stop, fetch=True)

    def _span(self, start: Any, end: Any) -> tuple[float, float]:
        begin = self.span().start if start is None else gps.seconds(start)
        stop = self.span().end if end is None else gps.seconds(end)
        return begin, stop


def open_days(out: str, spec: str | None = None) -> Days:
    """The days of an output folder of make, of the converter before it or of export-streams; or one day file.

    spec: which of several SPECs.  Raises BadInput if there is no day, or there are several SPECs and none is named.
    """
    return Days(out, spec)
