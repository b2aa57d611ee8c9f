"""Which samples of a channel a frame says are no good, by what says so: for people who ask why, not for reading.

Source: LIGO-T970130 for dataValid; Virgo's second vector and the CDS mask as core applies them.
"""

import os
from typing import Any

import numpy as np
from gwframe import _core

from .core import _AVAILABLE, _SOME_MISSING
from .model import exact, spread

DATA_VALID, MASK, AVAILABLE_DATA, INTEGER = "dataValid", "mask", "Available_data_for_", "integer too large"


def bad(path: str | os.PathLike[str], index: int, name: str, kind: str) -> dict[str, np.ndarray]:
    """{what says so: bool array, shape (samples,), True where it says that a sample is no good}.

    A key is there only if it says so of a sample.  Of a file of before format 8, which dataValid is not read of, none
    is.  kind: as of FrameFile.kinds.
    """
    with open(path, "rb") as file:
        if file.read(6)[5] < 8:
            return {}
    stream: Any = _core.IFrameFStream(os.fspath(path))
    read = {"adc": stream.read_fr_adc_data, "proc": stream.read_fr_proc_data, "sim": stream.read_fr_sim_data}
    found = read[kind](index, name)
    vector = found.get_data_vector(0)
    data = vector.get_data_uncompressed()
    masked = np.ma.getmaskarray(data) if isinstance(data, np.ma.MaskedArray) else None
    plain = np.ma.getdata(data)
    flags = {MASK: masked, DATA_VALID: None, AVAILABLE_DATA: None, INTEGER: None}
    if kind == "adc":
        valid = found.get_data_valid()
        if valid and not (valid == _SOME_MISSING and found.get_data_size() > 1):
            flags[DATA_VALID] = np.ones(len(plain), dtype=bool)
        if found.get_aux_size():
            auxiliary = found.get_aux_vector(0)
            words = auxiliary.get_data_uncompressed()
            if getattr(words, "dtype", None) in (np.int16, np.uint16) and len(words) > 1:
                clear = spread(words == 0, len(plain))
                if clear is not None:
                    flags[MASK] = ~clear if masked is None else masked | ~clear
    if found.get_data_size() > 1:
        second = found.get_data_vector(1)
        if second.get_name().startswith(_AVAILABLE):
            there = spread(second.get_data_uncompressed() == 1, len(plain))
            flags[AVAILABLE_DATA] = np.ones(len(plain), dtype=bool) if there is None else ~there
    held = exact(plain)
    flags[INTEGER] = None if held is None else ~held
    return {what: flag for what, flag in flags.items() if flag is not None and flag.any()}
