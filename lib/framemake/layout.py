"""What the HDF5 files have in common: filters, and the names in the day file."""

from .errors import BadInput

CHANNELS = "channels"
PROVENANCE = "provenance"
COMPRESSIONS = ("lzf", "gzip", "none")


def filters(compression):
    """h5py options of a compression: bytes are shuffled first, which makes both filters work on floats."""
    if compression not in COMPRESSIONS:
        raise BadInput(f"no such compression, want {', '.join(COMPRESSIONS)}: {compression!r}")
    if compression == "none":
        return {}
    return {"compression": compression, "shuffle": True}
