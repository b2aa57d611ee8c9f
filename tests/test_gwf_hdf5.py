"""HDF5 files of time series as sources of frames: gwpy's own too, cut into frames, and what is none."""

import struct

import h5py
import numpy as np
import pytest
from framemake import grid, gwf
from framemake.day import second
from framemake.days import tables
from framemake.errors import BadInput
from framemake.frames import lists
from framemake.gwf import apart, hdf5
from support.commands import START


def write(path, **channels):
    """An HDF5 file of {name: (samples, x0, dx)}."""
    with h5py.File(path, "w") as file:
        for name, (samples, x0, dx) in channels.items():
            file[name] = samples
            file[name].attrs.update(x0=x0, dx=dx, unit="V")
    return path


@pytest.mark.parametrize("rate", [1 / 60, 0.1, 1.0, 3.0, 16384.0])
@pytest.mark.parametrize("begin", [START, START + 0.5, START + 5461 / 16384])
def test_frames_have_all_samples_once_and_at_their_times(tmp_path, monkeypatch, rate, begin):
    monkeypatch.setattr(hdf5, "_MOST", max(10, round(rate)))
    samples = np.arange(200_000 if rate > 1000 else 300, dtype="f4")
    # A microsecond is as much as a GPS time holds.
    file = gwf.open_file(write(tmp_path / "x.h5", A=(samples, round(begin, 6), 1 / rate)))
    assert len(file.frames) > 1 and file.kinds == {"A": "proc"}
    found, times = [], []
    for index, (start, _, duration) in enumerate(file.frames):
        series = file.read(index, "A", "proc")
        found.append(series.data)
        own = start - START + series.offset + np.arange(len(series.data)) * series.dt
        assert (own > start - START - 1e-3 / rate).all() and (own < start - START + duration).all()
        times.append(own)
    np.testing.assert_array_equal(np.concatenate(found), samples)
    np.testing.assert_allclose(np.concatenate(times), begin - START + np.arange(len(samples)) / rate, atol=1e-3 / rate)
    if begin != START + 0.5:
        # What is on the grid of whole seconds stays there, though x0 is rounded.
        assert rate < 1000 or grid.place(times[0][0], rate)[1] == 0


def test_a_file_of_gwpy_and_what_its_channels_are(tmp_path):
    from gwpy.timeseries import TimeSeries, TimeSeriesDict

    path = tmp_path / "gwpy.h5"
    data = {"V1:A": np.arange(60, dtype=">i4"), "V1:B": np.arange(30.0), "V1:C": np.array([2**53, 2**53 + 1])}
    data["V1:Z"] = np.ones(5, dtype="c8")
    some = {
        name: TimeSeries(values, t0=START + 10 * at, dt=1 + at, unit="m", name=name)
        for at, (name, values) in enumerate(data.items())
    }
    TimeSeriesDict(some).write(path, format="hdf5")
    # The second reader, that of check-day, is gwpy's own; in a process of its own, as HDF5 lets one process open a file
    # in one way.
    _, (again,) = second.answer({"path": str(path), "names": ["V1:B"], "start": START + 20, "end": START + 30})
    assert again.tolist() == [5, 6, 7, 8, 9]
    file = gwf.open_file(path)
    assert file.frames == [(START, 0, 70.0)] and not file.verified
    told = file.describe_all(data)
    assert [(told[name].dtype, told[name].dt, told[name].unit) for name in ("V1:A", "V1:B")] == [
        (np.dtype(">i4"), 1, "m"),
        (np.dtype("f8"), 2, "m"),
    ]
    assert told["V1:Z"].problem == file.read(0, "V1:Z", "proc").problem == "no numbers that a float holds: complex64"
    series = file.read(0, "V1:A", "proc")
    assert series.data.tolist() == list(range(60)) and series.data.dtype.isnative and series.offset == 0
    assert file.read(0, "V1:B", "proc").offset == 10
    assert file.read(0, "V1:C", "proc").good.tolist() == [True, False]
    assert file.read(0, "V1:A", "adc") is file.read(0, "V1:NONE", "proc") is None
    assert lists.list_frames(path).frames[0][:3] == (str(path), START, 70)


def test_what_is_none_and_what_is_damaged(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_group("channels")
        file["plain"] = [1.0]
        file["elsewhere"] = h5py.ExternalLink("y.h5", "A")
    write(tmp_path / "y.h5", A=([1.0], START, 1.0))
    with pytest.raises(gwf.BadFrame, match="no time series in it as gwpy writes them"):
        gwf.open_file(path)
    with pytest.raises(BadInput, match=f"cannot be read, no time series in it .*: '{path}'"):
        lists.list_frames(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("A", data=np.arange(1000.0), chunks=(1000,), fletcher32=True)
        file["A"].attrs.update(x0=START, dx=1.0)
        file.create_dataset("B", data=np.zeros((2, 2))).attrs.update(x0=START, dx=1.0)
        file.create_dataset("C", data=np.zeros(2)).attrs.update(x0=START, dx=0.0)
        place = file["A"].id.get_chunk_info(0).byte_offset
    assert gwf.open_file(path).verified
    kinds = gwf.open_file(path).describe_all("BC")
    assert [kinds[name].problem for name in "BC"] == [
        "2 dimensions",
        f"no times of samples: x0 {float(START)!r}, dx 0.0 s",
    ]
    raw = bytearray(path.read_bytes())
    raw[place + 100] ^= 1
    path.write_bytes(raw)
    with pytest.raises(gwf.Damaged):
        gwf.open_file(path).read(0, "A", "proc")
    path.write_bytes(raw[:1000])
    with pytest.raises(gwf.Damaged):
        gwf.open_file(path)


def test_samples_that_lie_in_another_file_are_none(tmp_path):
    """Whoever hands in a file could have any other one read."""
    (tmp_path / "secret").write_bytes(bytes(range(80)))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("A", (10,), "f8", external=[(str(tmp_path / "secret"), 0, 80)])
        virtual = h5py.VirtualLayout((10,), "f8")
        virtual[:] = h5py.VirtualSource(str(tmp_path / "y.h5"), "A", (10,))
        file.create_virtual_dataset("B", virtual)
        file["C"] = np.arange(10.0)
        for name in "ABC":
            file[name].attrs.update(x0=START, dx=1.0)
    assert gwf.open_file(tmp_path / "x.h5").kinds == {"C": "proc"}


def test_what_read_days_writes_has_checksums_of_all_that_counts(tmp_path):
    path, samples = tmp_path / "x.h5", np.arange(100.0)
    tables.write_hdf5(
        str(path), [tables.Line(tables.Column("V1:A", "", "V", "float64"), float(START), 0.5, 100, [samples])]
    )
    file, raw = gwf.open_file(path), path.read_bytes()
    assert file.verified and file.frames == [(START, 0, 50.0)]
    assert file.read(0, "V1:A", "proc").data.tolist() == samples.tolist()
    # A bit of the time of sample 0, and one of the distance of two.
    for number in (float(START), 0.5):
        at = raw.index(struct.pack("<d", number))
        (tmp_path / "y.h5").write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(gwf.Damaged):
            gwf.open_file(tmp_path / "y.h5")


def test_times_that_no_samples_have_take_no_memory(tmp_path):
    far = gwf.open_file(write(tmp_path / "x.h5", A=([1.0], 1e300, 1.0), B=([1.0, 2.0], 5.0, 1e-9), C=([1.0], 4e9, 1e3)))
    assert [told.problem[:20] for told in far.describe_all("AB").values()] == ["no times of samples:"] * 2
    assert len(far.frames) <= 100_000 and far.read(0, "C", "proc").data.tolist() == [1.0]


@pytest.mark.long
def test_damage_over_which_hdf5_goes_on_for_ever_is_told(tmp_path, monkeypatch):
    """The length of a text in the global heap: what follows it is looked for where nothing is."""
    monkeypatch.setattr(hdf5, "_PROCESS", apart.Apart("framemake.gwf.hdf5", seconds=1))
    raw = bytearray(write(tmp_path / "x.h5", A=([1.0, 2.0], START, 1.0)).read_bytes())
    first = raw.index(b"GCOL") + 16
    assert struct.unpack_from("<HHIQ", raw, first) == (1, 0, 0, 1)
    struct.pack_into("<Q", raw, first + 8, 0x101)
    (tmp_path / "x.h5").write_bytes(raw)
    with pytest.raises(gwf.Damaged, match="damaged: HDF5 crashes over it, or comes to no end"):
        gwf.open_file(tmp_path / "x.h5")
    assert gwf.open_file(write(tmp_path / "y.h5", A=([1.0, 2.0], START, 1.0))).kinds == {"A": "proc"}
