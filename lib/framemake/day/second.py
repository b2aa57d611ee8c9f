"""The second reader of frames, gwpy over lalframe, or gwpy alone for HDF5: what check-day compares with, in a process
of its own.

Some names of files make gwpy's reader crash, even behind a link, and damage does: a file that does it is read once
more, as a copy under a plain name.
"""

import os
import shutil
import tempfile
import warnings
from typing import Any

import numpy as np

from ..gwf import is_hdf5
from ..gwf.apart import Apart, Ended, Refused

# gwpy itself takes some GB of address space, and holds samples several times.
_PROCESS = Apart("framemake.day.second", 8 << 30)
_PLAIN = "X-frames-0-1.gwf"


def read(path: str, names: list, start: float, duration: float) -> dict[str, np.ndarray]:
    """{channel: samples, 1-D} of a frame, read by gwpy; channels that it refuses, or crashes over, are left out."""
    if not names:
        return {}
    found = _asked(path, names, start, duration)
    if found is not None:
        return found
    # One channel that it cannot read refuses all, or ends its process: then one by one.
    one_by_one = ((name, _asked(path, [name], start, duration)) for name in names)
    return {name: values[name] for name, values in one_by_one if values and name in values}


def _asked(path, names, start, duration):
    request = {"names": list(names), "start": start, "end": start + duration}
    try:
        try:
            told, arrays = _PROCESS.ask(path=os.path.abspath(path), **request)
        except Ended:
            # The copy is ours to remove: a process that crashes removes nothing.
            with tempfile.TemporaryDirectory(prefix="framemake-") as folder:
                plain = os.path.join(folder, _PLAIN)
                shutil.copyfile(path, plain)
                told, arrays = _PROCESS.ask(path=plain, **request)
    except (Ended, Refused):
        return None
    return dict(zip(told["names"], arrays, strict=True))


# --- in that process -----------------------------------------------------------------------


def answer(request: dict[str, Any]) -> tuple[dict, list[np.ndarray]]:
    """The samples of the channels of a request, all or none."""
    from gwpy.timeseries import TimeSeriesDict

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        form = "hdf5" if is_hdf5(request["path"]) else "gwf.lalframe"
        options = {"format": form, "start": request["start"], "end": request["end"]}
        found = TimeSeriesDict.read(request["path"], request["names"], **options)
    return {"names": [str(name) for name in found]}, [np.asarray(series.value) for series in found.values()]
