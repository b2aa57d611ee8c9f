"""Frame files of formats 4 and 6 through lalframe: what runs in a process of its own, as it verifies nothing.

lalframe gives the values, times and units of these; it does not give dataValid.
"""

import collections
from typing import Any

import lal
import lalframe
import numpy as np

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
_FREQUENCY_UNITS = ("hz", "hertz", "1/s", "s^-1", "s^{-1}")
_KEPT = 8
_open: collections.OrderedDict = collections.OrderedDict()

# LAL prints reports of its own.
lal.ClobberDebugLevel(0)


def answer(request: dict[str, Any]) -> tuple[dict, list[np.ndarray]]:
    """The answer to {"path"}: frames and names by kind; to {"path", "name", "index"}: a channel in a frame."""
    if "name" in request:
        return _read(_opened(request["path"]), request["name"], request["index"])
    _open.pop(request["path"], None)
    return _described(_opened(request["path"]), request["cksum"]), []


def _opened(path):
    if path in _open:
        _open.move_to_end(path)
    else:
        # A plain path: as a URL, a name with a percent sign would be read as another.
        _open[path] = lalframe.FrameUFrFileOpen(path, "r"), lalframe.FrFileOpenURL(path)
        while len(_open) > _KEPT:
            _open.popitem(last=False)
    return _open[path]


def _described(opened, cksum):
    file, _ = opened
    valid = True
    if cksum:
        try:
            valid = bool(lalframe.FrameUFileCksumValid(file))
        except RuntimeError:
            valid = False
    if not valid:
        return {"valid": False}
    toc = lalframe.FrameUFrTOCRead(file)
    names = {}
    for kind, count, name in (
        ("adc", lalframe.FrameUFrTOCQueryAdcN, lalframe.FrameUFrTOCQueryAdcName),
        ("proc", lalframe.FrameUFrTOCQueryProcN, lalframe.FrameUFrTOCQueryProcName),
        ("sim", lalframe.FrameUFrTOCQuerySimN, lalframe.FrameUFrTOCQuerySimName),
    ):
        names[kind] = [name(toc, i) for i in range(count(toc))]
    frames = [_frame(toc, i) for i in range(lalframe.FrameUFrTOCQueryNFrame(toc))]
    readable = True
    if not cksum:
        # FrameL's files of 2001 open, but not one channel of them can be read.
        for name in [name for some in names.values() for name in some][:1]:
            try:
                _read(opened, name, 0)
            except RuntimeError:
                readable = False
    return {"valid": True, "readable": readable, "frames": frames, "names": names}


def _frame(toc, index):
    fraction, seconds = lalframe.FrameUFrTOCQueryGTimeModf(toc, index)
    # LAL's seconds have a sign, those of a frame have none.
    return int(seconds) % 2**32, round(fraction * 1e9), lalframe.FrameUFrTOCQueryDt(toc, index)


def _read(opened, name, index):
    file, series_of = opened
    channel = lalframe.FrameUFrChanRead(file, name, index)
    unit = lalframe.FrameUFrChanVectorQueryUnitY(channel) or ""
    unit = "" if unit == "none" else unit
    told: dict[str, Any] = {"unit": unit, "problem": "", "offset": 0.0, "dt": 0.0}
    dimensions = lalframe.FrameUFrChanVectorQueryNDim(channel)
    if dimensions != 1:
        return {**told, "problem": f"{dimensions} dimensions"}, []
    axis = lalframe.FrameUFrChanVectorQueryUnitX(channel, 0) or ""
    if axis.strip().lower() in _FREQUENCY_UNITS:
        return {**told, "problem": "a frequency series"}, []
    code = lalframe.FrFileQueryChanType(series_of, name, index)
    if code not in _READERS:
        values = "complex" if code in _COMPLEX else "string"
        return {**told, "problem": f"{values} values"}, []
    series = _READERS[code](series_of, name, index)
    offset = lalframe.FrameUFrChanQueryTimeOffset(channel) + lalframe.FrameUFrChanVectorQueryStartX(channel, 0)
    return {**told, "offset": offset, "dt": series.deltaT}, [np.array(series.data.data)]
