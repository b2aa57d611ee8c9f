"""Days of one channel on one grid: which days go together as one series, and where the samples of each stand in it."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import numpy as np

Member = TypeVar("Member")


class ChannelForm(NamedTuple):
    """What days of a channel have in common.

    rate in Hz, dtype, total samples, offset: seconds from the window's start to the first sample, unit.
    """

    rate: float
    dtype: str
    total: int
    offset: float
    unit: str


class Line:
    """An endless grid through a sample at a GPS time, which has the number 0: `rate` samples a second."""

    def __init__(self, rate: float, reference: float):
        self.rate, self._reference = rate, reference
        # In samples. Times on one grid may differ as they may in the day file, and by what its t0 was rounded.
        self._near = 1e-3 + 1e-6 * rate

    def holds(self, t0: float) -> bool:
        """Whether a sample at a GPS time lies on the grid."""
        apart = (t0 - self._reference) * self.rate
        return abs(apart - round(apart)) < self._near

    def number_of(self, t0: float) -> int:
        """The number of the sample of the grid that is nearest to a GPS time."""
        return round((t0 - self._reference) * self.rate)

    def first_at(self, time: float) -> int:
        """The number of the first sample at or after a GPS time."""
        return math.ceil((time - self._reference) * self.rate - self._near)

    def first_at_each(self, times: np.ndarray) -> np.ndarray:
        """The same of many times: int64, of their shape."""
        return np.ceil((times - self._reference) * self.rate - self._near).astype(np.int64)

    def after_each(self, times: np.ndarray) -> np.ndarray:
        """The number of the first sample after each GPS time: int64."""
        return np.floor((times - self._reference) * self.rate + self._near).astype(np.int64) + 1

    def time_of(self, number: int) -> float:
        """GPS time of a sample, to the microsecond."""
        return round(self._reference + number / self.rate, 6)


def by_grid(members: Iterable[Member], at: Callable[[Member], tuple[ChannelForm, int]]) -> list[list[Member]]:
    """Days of a channel in groups of the same rate, dtype and grid, each in the order given.

    at: the form of a member, and the GPS second at which its window begins.
    """
    groups: list[tuple[ChannelForm, Line, list[Member]]] = []
    for member in members:
        form, start = at(member)
        for like, line, group in groups:
            if (form.rate, form.dtype) == (like.rate, like.dtype) and line.holds(start + form.offset):
                group.append(member)
                break
        else:
            groups.append((form, Line(form.rate, start + form.offset), [member]))
    return [group for _, _, group in groups]
