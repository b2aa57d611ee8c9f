"""framemake: gravitational-wave frame files (GWF) to daily HDF5 datasets and e-Lab streams."""

__version__ = "0.1.0"
