"""Rows of samples, the memory that they leave to those that come, and the parts that they become."""

import numpy as np
from framemake.day import parts, plan, rows
from support.inside import DaySite
from support.sites import signal


def made(channels, count, dtype="float32"):
    return rows.Rows(list(range(channels)), 1.0, dtype, 0, count)


def test_memory_is_used_again_and_by_one_at_a_time(monkeypatch):
    monkeypatch.setattr(rows, "_FREE", [])
    first, second = made(3, 100), made(3, 100)
    assert not np.shares_memory(first.data, second.data)
    first.data[:] = 7
    memory = first.data.ctypes.data
    first.give_back()
    third = made(2, 50, "float64")
    assert third.data.ctypes.data == memory and third.data.shape == (2, 50) and np.isnan(third.data).all()
    # What is too small for those that come does not stay beside them.
    second.give_back()
    assert made(30, 100).data.size == 3000 and rows._FREE == []


def test_the_chunks_of_a_part_are_the_same_whatever_is_read_in_one_go(tmp_path, monkeypatch):
    site = DaySite(tmp_path)
    site.frame(0, 300, [signal("V1:F", 300 * 512, 0, 512)])
    site.frame(600, 300, [signal("V1:F", 300 * 512, 600 * 512, 512)])
    site.want("V1:F")
    site.extract(900)
    found = []
    for at_once in (1 << 18, 1, 1 << 30):
        monkeypatch.setattr(parts, "_AT_ONCE", at_once)
        found.append([])
        for block in plan.load(str(site.parts)).blocks:
            part = parts.Part(plan.part_path(str(site.parts), block), block)
            found[-1] += [(first, bytes(raw), mask) for _, row in part.rows() for first, raw, mask in row.chunks()]
            part.close()
    assert found[0] == found[1] == found[2] and len(found[0]) > 2
