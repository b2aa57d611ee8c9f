"""The package's compiled code: how it is built and where it lies, so that a stale one is never used.

It is C behind ctypes: that adds nothing to what a process takes to start, where a compiler that works while a program
runs adds more than the frames of a small day take to be read.  It is built by lib/make/setup, and where it is not
there other packages do the same, more slowly.
"""

import ctypes
import functools
import os
import sys
import zlib

from . import files

_HERE = os.path.dirname(os.path.abspath(__file__))
# The other halves of rooms of these names, in one library.
_NAMES = ("gwf/frames8.c", "day/pack.c", "day/statistics.c", "streams/envelope.c", "streams/intake/sums.c")
SOURCES = tuple(os.path.join(_HERE, *name.split("/")) for name in _NAMES)
# Not for the machine that builds it alone: others may run it, from one checkout.  What is added and multiplied is
# rounded each time, as numpy does it, on every kind of processor.
_FLAGS = ("-O3", "-fPIC", "-shared", "-ffp-contract=off", "-fno-math-errno")


class Missing(Exception):
    """Why nothing was built."""


def places() -> list[str]:
    """The paths where the library may lie, by a digest of its sources and the kind of machine: first where it is sought
    first, and put if that can be written to."""
    sources = b"".join(files.read_bytes(source) for source in SOURCES)
    name = f"compiled-{zlib.crc32(sources):08x}{zlib.adler32(sources):08x}-{os.uname().machine}.so"
    folders = [_HERE]
    if sys.prefix != sys.base_prefix:
        folders.insert(0, os.path.join(sys.prefix, "lib", "framemake"))
    return [os.path.join(folder, name) for folder in folders]


def build() -> str:
    """Build the library unless it is there, and return its path; raises Missing with the reason where it cannot be."""
    there = next(filter(_loadable, places()), None)
    if there:
        return there
    reason = ""
    for path in places():
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with files.replacing(path) as aside:
                compile_to(os.fspath(aside))
                if not _loadable(aside):
                    raise Missing("what the C compiler made cannot be loaded")
            return path
        except OSError as error:
            reason = reason or f"{error.strerror}: {os.path.dirname(path)!r}"
    raise Missing(reason)


def lacking() -> str:
    """That there is no library, in words; '' if it is there."""
    return "" if library() else "frames are read without compiled code, several times slower: see make setup"


def main() -> None:
    """Build it, for lib/make/setup; ends the program with the reason where it cannot be."""
    try:
        build()
    except Missing as error:
        raise SystemExit(str(error)) from None


def compile_to(path: str, *flags: str) -> None:
    """Compile the sources into a shared library; raises Missing where there is no C compiler, or it fails."""
    import subprocess

    compiler = os.environ.get("CC", "cc").split() or ["cc"]
    try:
        done = subprocess.run(
            [*compiler, *_FLAGS, *flags, "-o", path, *SOURCES, "-lm"], capture_output=True, text=True, check=False
        )
    except OSError:
        raise Missing(f"no C compiler: {compiler[0]!r}") from None
    if done.returncode:
        raise Missing(f"the C compiler failed: {(done.stderr.splitlines() or ['no reason given'])[0]}")


def _loadable(path):
    try:
        return os.path.exists(path) and ctypes.CDLL(path).size_of_struct(0) > 0
    except (OSError, AttributeError):
        return False


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled library, or None where there is none."""
    for path in filter(os.path.exists, places()):
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    return None
