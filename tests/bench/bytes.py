"""The least that a day takes: its frames read, and as many bytes as its day file has written, and nothing else done.

bytes.py FOLDER COUNT OUT
"""

import os
import sys

AT_ONCE = 1 << 20


def main(folder, count, out):
    buffer = bytearray(AT_ONCE)
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    left = int(count)
    with open(out, "wb", buffering=0) as file:
        while left > 0:
            left -= file.write(memoryview(buffer)[: min(left, AT_ONCE)])


if __name__ == "__main__":
    main(*sys.argv[1:])
