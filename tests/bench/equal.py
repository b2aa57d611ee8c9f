"""Whether day files hold the same samples, bit by bit, of a handful of channels; prints one line.

  equal.py CHANNELS FRAMEMAKE FLOOR [GWPY [GWDAMA]]    one that is not there is left out

gwdama's file holds the first increments of the day alone, and is compared over those.
"""

import os
import sys

import h5py

MAKERS = ("framemake", "floor", "gwpy", "gwdama's first increments")
HANDFUL = 7


def samples(path, name):
    with h5py.File(path, "r") as file:
        return file.get("channels", file)[name][()]


def main(channels, *paths):
    with open(channels, encoding="utf-8") as lines:
        names = lines.read().split()
    names = names[:: max(1, (len(names) - 1) // (HANDFUL - 1))][:HANDFUL]
    there = [(who, path) for who, path in zip(MAKERS, paths, strict=False) if os.path.exists(path)]
    if len(there) < 2 or there[0][0] != MAKERS[0]:
        return print("NOT COMPARED: one of the day files is missing")
    odd = []
    for name in names:
        ours = samples(there[0][1], name)
        for who, path in there[1:]:
            theirs = samples(path, name)
            mine = ours[: len(theirs)] if who == MAKERS[3] else ours
            if mine.dtype != theirs.dtype or mine.tobytes() != theirs.tobytes():
                odd.append(f"{name} of {who}")
    whom = ", ".join(who for who, _ in there)
    if odd:
        print(f"NOT EQUAL: {len(odd)} of {len(names) * (len(there) - 1)}: {'; '.join(odd)}")
    else:
        print(f"Bit equal in {len(names)} channels: {whom}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
