"""Which samples of a channel a frame says are no good, by what says so, as frameCPP has the channel.

Source: LIGO-T970130 for dataValid; a CDS mask is a channel's auxiliary vector, and Virgo's second vector tells which
samples there are.
"""

import functools
import operator
import os
from typing import Any

import numpy as np
from gwframe import _core

from .model import Flaw, exact, spread

DATA_VALID, MASK, AVAILABLE_DATA, INTEGER = "dataValid", "mask", "Available_data_for_", "integer too large"
_FLAWS = {DATA_VALID: Flaw.DATA_VALID, MASK: Flaw.MASK, AVAILABLE_DATA: Flaw.AVAILABLE_DATA, INTEGER: Flaw.INTEGER}
# dataValid of a channel: bit 2 (value 2) says that samples are missing and a second vector tells which.
_SOME_MISSING = 2


def of(found: Any, kind: str, data: np.ndarray) -> dict[str, np.ndarray]:
    """{what says so: bool array, shape (samples,), True where it says that a sample is no good}.

    found: the channel, an FrAdcData, FrProcData or FrSimData of frameCPP, of a kind as in FrameFile.kinds.  data: its
    samples, which may be masked already.
    """
    count, said = len(data), {}
    if isinstance(data, np.ma.MaskedArray):
        said[MASK] = np.ma.getmaskarray(data)
    if kind == "adc":
        valid = found.get_data_valid()
        if valid and not (valid == _SOME_MISSING and found.get_data_size() > 1):
            said[DATA_VALID] = np.ones(count, dtype=bool)
        if found.get_aux_size():
            words = found.get_aux_vector(0).get_data_uncompressed()
            # An auxiliary vector is free-form; only 16-bit words that divide the samples are a CDS mask, and not one
            # alone.
            if getattr(words, "dtype", None) in (np.int16, np.uint16) and len(words) > 1:
                masked = spread(words != 0, count)
                if masked is not None:
                    said[MASK] = said[MASK] | masked if MASK in said else masked
    if found.get_data_size() > 1:
        second = found.get_data_vector(1)
        if second.get_name().startswith(AVAILABLE_DATA):
            # One that does not fit leaves nothing good.
            gone = spread(second.get_data_uncompressed() != 1, count)
            said[AVAILABLE_DATA] = np.ones(count, dtype=bool) if gone is None else gone
    held = exact(np.ma.getdata(data))
    if held is not None:
        said[INTEGER] = ~held
    return said


def flaws(said: dict[str, np.ndarray]) -> Flaw:
    """The Flaws of what of() gives.  Where dataValid says that nothing is good a mask adds nothing."""
    found = [what for what, flag in said.items() if flag.any() and not (what == MASK and DATA_VALID in said)]
    return functools.reduce(operator.or_, map(_FLAWS.__getitem__, found), Flaw(0))


def bad(path: str | os.PathLike[str], index: int, name: str, kind: str) -> dict[str, np.ndarray]:
    """What of() gives of a channel in frame `index` of a file, without what says so of no sample.

    Nothing, of a file of before format 8, or of HDF5.
    """
    with open(path, "rb") as file:
        head = file.read(6)
    if not head.startswith(b"IGWD\0") or head[5] < 8:
        return {}
    stream: Any = _core.IFrameFStream(os.fspath(path))
    read = {"adc": stream.read_fr_adc_data, "proc": stream.read_fr_proc_data, "sim": stream.read_fr_sim_data}
    found = read[kind](index, name)
    said = of(found, kind, found.get_data_vector(0).get_data_uncompressed())
    return {what: flag for what, flag in said.items() if flag.any()}
