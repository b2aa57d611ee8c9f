"""Chunks that we compress ourselves: any HDF5 reads them."""

import h5py
import numpy as np
import pytest
from framemake.day import layout
from framemake.errors import BadInput

RANDOM = np.random.default_rng(3)
KINDS = {
    "smooth": lambda n: np.sin(np.arange(n) / 50) + RANDOM.normal(0, 1e-3, n),
    "constant": lambda n: np.full(n, 7.25),
    "noise": lambda n: RANDOM.integers(0, 2**62, n).astype("u8").view("f8"),  # no filter makes it smaller
    "with gaps": lambda n: np.where(np.arange(n) % 7 == 0, np.nan, np.arange(n)),
}


@pytest.mark.parametrize("compression", layout.COMPRESSIONS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("kind", KINDS)
def test_hdf5_reads_what_we_compress(tmp_path, compression, dtype, kind):
    with np.errstate(over="ignore", invalid="ignore"):
        values = KINDS[kind](2500).astype(dtype)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        options = {"chunks": (1000,), "fillvalue": np.nan, **layout.filters(compression)}
        dataset = file.create_dataset("x", shape=(2500,), dtype=dtype, **options)
        for at in (0, 1000, 2000):
            layout.write_chunk(dataset.id, (at,), values[at : at + 1000], 1000, compression)
    with h5py.File(tmp_path / "x.h5") as file:
        got = file["x"][()]
        assert got.tobytes() == values.tobytes()


def test_a_compression_that_there_is_not():
    with pytest.raises(BadInput, match="'zip'"):
        layout.filters("zip")
