"""Frame files of formats 4 and 6 (the e-Lab's of 2003 to 2011), through lalframe.

lalframe gives the values, times and units of these; it does not give dataValid.
"""

import lal
import lalframe
import numpy as np

from . import BadFrame, Kind, Series

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

# LAL prints its own reports of an error; the one line of a command is enough.
lal.ClobberDebugLevel(0)


class OldFile:
    """An open frame file; see gwf.open_file."""

    def __init__(self, path):
        try:
            self._file = lalframe.FrameUFrFileOpen(str(path), "r")
            toc = lalframe.FrameUFrTOCRead(self._file)
            # A plain path: as a URL, a name with a percent sign would be read as another.
            self._series = lalframe.FrFileOpenURL(str(path))
            self.frames = [_frame(toc, i) for i in range(lalframe.FrameUFrTOCQueryNFrame(toc))]
            self.kinds = {}
            for kind, count, name in (
                ("sim", lalframe.FrameUFrTOCQuerySimN, lalframe.FrameUFrTOCQuerySimName),
                ("proc", lalframe.FrameUFrTOCQueryProcN, lalframe.FrameUFrTOCQueryProcName),
                ("adc", lalframe.FrameUFrTOCQueryAdcN, lalframe.FrameUFrTOCQueryAdcName),
            ):
                self.kinds.update((name(toc, i), kind) for i in range(count(toc)))
        except Exception as error:
            raise BadFrame(_reason(error)) from None

    def describe_all(self, names):
        """Nothing is told sooner than describe tells it."""
        return {}

    def describe(self, index, name, kind):
        """The Kind of a channel in frame `index`; None if the file has no such channel of that kind."""
        series = self.read(index, name, kind)
        if series is None or series.problem:
            return series and Kind(None, 0.0, series.unit, series.problem)
        return Kind(series.data.dtype, series.dt, series.unit)

    def read(self, index, name, kind):
        """The Series of a channel in frame `index`; None if the file has no such channel of that kind."""
        if self.kinds.get(name) != kind:
            return None
        try:
            channel = lalframe.FrameUFrChanRead(self._file, name, index)
            unit = lalframe.FrameUFrChanVectorQueryUnitY(channel) or ""
            unit = "" if unit == "none" else unit
            dimensions = lalframe.FrameUFrChanVectorQueryNDim(channel)
            if dimensions != 1:
                return Series(None, None, 0.0, 0.0, unit, f"{dimensions} dimensions")
            code = lalframe.FrFileQueryChanType(self._series, name, index)
            if code not in _READERS:
                kind = "complex" if code in _COMPLEX else "string"
                return Series(None, None, 0.0, 0.0, unit, f"{kind} values")
            series = _READERS[code](self._series, name, index)
            offset = lalframe.FrameUFrChanQueryTimeOffset(channel)
            offset += lalframe.FrameUFrChanVectorQueryStartX(channel, 0)
            return Series(np.array(series.data.data), None, offset, series.deltaT, unit)
        except Exception as error:
            raise BadFrame(_reason(error)) from None


def _frame(toc, index):
    fraction, seconds = lalframe.FrameUFrTOCQueryGTimeModf(toc, index)
    return int(seconds), round(fraction * 1e9), lalframe.FrameUFrTOCQueryDt(toc, index)


def _reason(error):
    return "lalframe: " + (" ".join(str(error).split())[:200] or type(error).__name__)
