"""Frame files of formats 4 and 6 (the e-Lab's of 2003 to 2011), through lalframe.

lalframe gives the values, times and units of these; it does not give dataValid.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping

import lal
import lalframe
import numpy as np

from .model import BadFrame, Kind, Series

# lalframe reads a channel by a function of its type, and numbers the types its own way.
_READERS = {
    lal.I2_TYPE_CODE: lalframe.FrFileReadINT2TimeSeries,
    lal.I4_TYPE_CODE: lalframe.FrFileReadINT4TimeSeries,
    lal.I8_TYPE_CODE: lalframe.FrFileReadINT8TimeSeries,
    lal.U2_TYPE_CODE: lalframe.FrFileReadUINT2TimeSeries,
    lal.U4_TYPE_CODE: lalframe.FrFileReadUINT4TimeSeries,
    lal.U8_TYPE_CODE: lalframe.FrFileReadUINT8TimeSeries,
    lal.S_TYPE_CODE: lalframe.FrFileReadREAL4TimeSeries,
    lal.D_TYPE_CODE: lalframe.FrFileReadREAL8TimeSeries,
}
_COMPLEX = (lal.C_TYPE_CODE, lal.Z_TYPE_CODE)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep LAL, which prints reports of its own, from saying what the BadFrame says."""
    level = lal.GetDebugLevel()
    lal.ClobberDebugLevel(0)
    try:
        yield
    except Exception as error:
        raise BadFrame(_reason(error)) from None
    finally:
        lal.ClobberDebugLevel(level)


class OldFile:
    """An open frame file of format 4 or 6: a model.FrameFile."""

    kinds: Mapping[str, str]

    def __init__(self, path: str | os.PathLike[str]) -> None:
        kinds: dict[str, str] = {}
        with _quiet():
            self._file = lalframe.FrameUFrFileOpen(str(path), "r")
            toc = lalframe.FrameUFrTOCRead(self._file)
            # A plain path: as a URL, a name with a percent sign would be read as another.
            self._series = lalframe.FrFileOpenURL(str(path))
            self.frames = [_frame(toc, i) for i in range(lalframe.FrameUFrTOCQueryNFrame(toc))]
            for kind, count, name in (
                ("sim", lalframe.FrameUFrTOCQuerySimN, lalframe.FrameUFrTOCQuerySimName),
                ("proc", lalframe.FrameUFrTOCQueryProcN, lalframe.FrameUFrTOCQueryProcName),
                ("adc", lalframe.FrameUFrTOCQueryAdcN, lalframe.FrameUFrTOCQueryAdcName),
            ):
                kinds.update((name(toc, i), kind) for i in range(count(toc)))
        self.kinds = kinds

    def describe_all(self, names: Iterable[str]) -> dict[str, Kind]:
        """Nothing: each channel needs describe."""
        return {}

    def describe(self, index: int, name: str, kind: str) -> Kind | None:
        """The Kind of a channel in frame `index`; None if the file has no such channel of that kind."""
        series = self.read(index, name, kind)
        if series is None:
            return None
        if series.data is None:
            return Kind(None, 0.0, series.unit, series.problem)
        return Kind(series.data.dtype, series.dt, series.unit)

    def read(self, index: int, name: str, kind: str) -> Series | None:
        """The Series of a channel in frame `index`; None if the file has no such channel of that kind."""
        if self.kinds.get(name) != kind:
            return None
        with _quiet():
            channel = lalframe.FrameUFrChanRead(self._file, name, index)
            unit = lalframe.FrameUFrChanVectorQueryUnitY(channel) or ""
            unit = "" if unit == "none" else unit
            dimensions = lalframe.FrameUFrChanVectorQueryNDim(channel)
            if dimensions != 1:
                return Series(None, None, 0.0, 0.0, unit, f"{dimensions} dimensions")
            code = lalframe.FrFileQueryChanType(self._series, name, index)
            if code not in _READERS:
                values = "complex" if code in _COMPLEX else "string"
                return Series(None, None, 0.0, 0.0, unit, f"{values} values")
            series = _READERS[code](self._series, name, index)
            offset = lalframe.FrameUFrChanQueryTimeOffset(channel)
            offset += lalframe.FrameUFrChanVectorQueryStartX(channel, 0)
            return Series(np.array(series.data.data), None, offset, series.deltaT, unit)


def _frame(toc, index):
    fraction, seconds = lalframe.FrameUFrTOCQueryGTimeModf(toc, index)
    return int(seconds), round(fraction * 1e9), lalframe.FrameUFrTOCQueryDt(toc, index)


def _reason(error):
    return "lalframe: " + (" ".join(str(error).split())[:200] or type(error).__name__)
