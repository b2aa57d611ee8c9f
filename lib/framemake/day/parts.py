"""Part files: what a block of channels and time holds, compressed as the day file will have it.

A group `rows<n>` has the channels of one rate, phase and dtype: `samples` (channels, samples) in chunks of one
row that are chunks of the day file, `members` (positions in the plan's channels), `good` (how many samples are
there) and `statistics` by unit.  Beside them `gave` and `pairs` as in the day file, and notes as JSON.
"""

import json
import math

import numpy as np

from .. import grid
from . import coverage, layout


def write_rows(part, plan, groups, count):
    """Write the rows of a pass over the frames as groups numbered from count; returns the next number."""
    for rows in groups:
        if rows.grid is None or not rows.touched.any() or not rows.data.shape[1]:
            continue
        group = part.create_group(f"rows{count}")
        count += 1
        cut = grid.cut(rows.rate, plan.increment, plan.window.duration)
        aligned = rows.first % cut.unit == 0
        _write_samples(group, rows, cut.chunk, plan.compression)
        group["members"] = np.array(rows.members, dtype=np.int32)
        height, width = rows.data.shape
        counts = np.full(height, width) if rows.good is None else np.count_nonzero(rows.good, axis=1)
        group["good"] = counts.astype(np.int64)
        if aligned:
            group["statistics"] = coverage.statistics(rows.data, rows.good, rows.first, cut.unit)
        group.attrs.update(rate=rows.grid.rate, phase=rows.grid.phase, first=rows.first, aligned=aligned)
    return count


def write_notes(part, plan, job):
    """Write what a job found besides samples: which file gave what, units, what cannot be read, problems.

    transient: paths of files that the system did not give, which may be there another time as they are.
    """
    part["gave"] = job.gave
    part["pairs"] = np.array(job.pairs, dtype=np.int32).reshape(-1, 2)
    part.attrs["notes"] = json.dumps(
        {
            "units": list(job.units),
            "bad": [[path, name, reason] for (path, name), reason in sorted(job.bad.items())],
            "transient": sorted(job.transient),
            "problems": {plan.channels[member].name: text for member, text in sorted(job.problems.items())},
            "seen": sorted(job.seen),
        }
    )


def _write_samples(group, rows, chunk, compression):
    """Write the samples; a chunk that holds nothing but NaN is not written: it is a gap."""
    height, width = rows.data.shape
    # Whole chunks, padded with NaN as HDF5 itself pads the last chunk of the day file.
    padded = math.ceil(width / chunk) * chunk
    dataset = group.create_dataset(
        "samples",
        shape=(height, padded),
        dtype=rows.dtype,
        chunks=(1, chunk),
        fillvalue=np.nan,
        **layout.filters(compression),
    )
    if rows.good is None:
        holds = np.ones((height, padded // chunk), dtype=bool)
    else:
        holds = np.logical_or.reduceat(rows.good, np.arange(0, width, chunk), axis=1)
    for row in range(height):
        for number in np.flatnonzero(holds[row]).tolist():
            a = number * chunk
            values = rows.data[row, a : min(a + chunk, width)]
            layout.write_chunk(dataset.id, (row, a), values, chunk, compression)
