"""One day: its folder, its plan, the reading of frames, the HDF5 file, and what it tells."""
