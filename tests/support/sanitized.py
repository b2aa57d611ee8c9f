"""Compiled code under sanitizers: whatever reads or writes beyond its bounds ends the process."""

import os
import subprocess
import sys

from framemake import compiled

from support.commands import ROOT, needs

_FLAGS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def run(folder, code, *words):
    """What Python code prints that finds `loaded`, the library compiled with sanitizers, and `words`."""
    needs("cc")
    path = str(folder / "sanitized.so")
    compiled.compile_to(path, *_FLAGS)
    asan = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout
    environ = {**os.environ, "LD_PRELOAD": asan.strip(), "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT / 'tests'}"}
    # Python itself gives back less than it takes.
    environ["ASAN_OPTIONS"] = "detect_leaks=0"
    begin = """
import ctypes, sys
from framemake import compiled
loaded = ctypes.CDLL(sys.argv[1])
compiled.library = lambda: loaded
words = sys.argv[2:]
"""
    argv = [sys.executable, "-c", begin + code, path, *words]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr[:4000]} ... {done.stderr[-2000:]}"
    return done.stdout
