"""A day by gwpy, as its documentation does it: TimeSeriesDict.read of the frames, .write as HDF5; one process.

  gwpy_day.py FFL CHANNELS START END OUT [--backend NAME] [--compression lzf]    build OUT
  gwpy_day.py FFL CHANNELS START END --try                                       which backend is the fastest

Prints one JSON object: seconds of the import, the reading and the writing; with --try the seconds that each
of gwpy's GWF backends takes for three of the files, or null where it is not installed.  Files are read one
after another (gwpy's default, what nproc=1 was before 4.0): its threads make it no faster.
"""

import argparse
import json
import time
import warnings

BACKENDS = ("frameCPP", "FrameL", "LALFrame")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ffl")
    parser.add_argument("channels")
    parser.add_argument("start", type=int)
    parser.add_argument("end", type=int)
    parser.add_argument("out", nargs="?")
    parser.add_argument("--backend")
    parser.add_argument("--compression", help="with shuffle; without it gwpy's own default, gzip")
    parser.add_argument("--try", dest="trial", action="store_true")
    return parser.parse_args()


def read(paths, names, start, end, backend):
    from gwpy.timeseries import TimeSeriesDict

    chosen = {"backend": backend} if backend else {}
    return TimeSeriesDict.read(paths, names, start=start, end=end, format="gwf", **chosen)


def trial(paths, names):
    """Seconds of each backend for a few files; the first reading, of one file, is not timed."""
    told = {}
    for backend in BACKENDS:
        try:
            read(paths[:1], names[:10], None, None, backend)
            began = time.perf_counter()
            read(paths[:3], names, None, None, backend)
            told[backend] = time.perf_counter() - began
        except ImportError:
            told[backend] = None
    return told


def build(paths, names, args):
    began = time.perf_counter()
    import gwpy.timeseries  # noqa: F401

    imported = time.perf_counter()
    day = read(paths, names, args.start, args.end, args.backend)
    done = time.perf_counter()
    packed = {"compression": args.compression, "shuffle": True} if args.compression else {}
    day.write(args.out, format="hdf5", **packed)
    return {"import": imported - began, "read": done - imported, "write": time.perf_counter() - done}


def main():
    warnings.simplefilter("ignore")
    args = arguments()
    with open(args.ffl, encoding="utf-8") as lines:
        paths = [line.split()[0] for line in lines]
    with open(args.channels, encoding="utf-8") as lines:
        names = lines.read().split()
    print(json.dumps(trial(paths, names) if args.trial else build(paths, names, args)))


if __name__ == "__main__":
    main()
