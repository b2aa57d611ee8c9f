"""The first increments of a day by gwdama, as its users have it: a loop that reads 600 s and appends them to HDF5.

  gwdama_loop.py FFL CHANNELS START OUT [--increment 600] [--increments 12]

Each turn reads the increment through GwDataManager.read_gwdata, appends it to resizable datasets (lzf) and
flushes, as today's converter does.  Prints one JSON object: seconds and CPU seconds of the loop alone, without
the imports, so that the rest of a day can be added.
"""

import argparse
import json
import resource
import time
import warnings


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ffl")
    parser.add_argument("channels")
    parser.add_argument("start", type=int)
    parser.add_argument("out")
    parser.add_argument("--increment", type=int, default=600)
    parser.add_argument("--increments", type=int, default=12)
    return parser.parse_args()


def append(group, name, read):
    """Put an increment of a channel behind those that are there."""
    values = read[...]
    if name not in group:
        made = group.create_dataset(name, data=values, maxshape=(None,), compression="lzf")
        made.attrs.update(channel=name, **{key: read.attrs[key] for key in ("sample_rate", "unit", "t0")})
        return
    dataset = group[name]
    held = len(dataset)
    dataset.resize((held + len(values),))
    dataset[held:] = values


def loop(file, names, args):
    from gwdama.io import GwDataManager

    group = file.create_group("channels")
    for number in range(args.increments):
        start = args.start + number * args.increment
        dama = GwDataManager()
        read = dama.read_gwdata(start, start + args.increment, ffl_path=args.ffl, channels=names, return_output=True)
        for name in names:
            append(group, name, read[name])
        file.flush()
        dama.close()


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main():
    warnings.simplefilter("ignore")
    args = arguments()
    with open(args.channels, encoding="utf-8") as lines:
        names = lines.read().split()
    import gwdama.io  # noqa: F401
    import h5py

    began, spent = time.perf_counter(), cpu()
    with h5py.File(args.out, "w") as file:
        loop(file, names, args)
    print(json.dumps({"loop": time.perf_counter() - began, "loop_cpu": cpu() - spent}))


if __name__ == "__main__":
    main()
