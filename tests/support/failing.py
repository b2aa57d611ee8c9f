"""System calls that fail at random, by libfiu, in every command of ours while its main runs.

failing() gives the environment.  Start-up is spared: an interpreter that cannot read its own modules says so in its own
words.  So are the messages of a command: what it says is what the test judges.
"""

import os
from pathlib import Path

from support.commands import needs

PRELOAD = "/usr/lib/fiu/fiu_posix_preload.so"
READS = ("posix/io/rw/read", "posix/io/rw/pread", "posix/io/rw/preadv", "posix/io/oc/open", "posix/io/dir/opendir")
WRITES = (
    "posix/io/rw/write", "posix/io/rw/pwrite", "posix/io/rw/ftruncate", "posix/io/sync/fsync", "posix/io/dir/rename",
    "posix/io/oc/open",
)  # fmt: skip
# Less is written than was asked for: no error at all, and whoever takes it for all is wrong.
SHORT = tuple(f"posix/io/rw/{name}/reduce" for name in ("write", "pwrite"))

# Not loaded beforehand: pyarrow, below xarray, stops for ever as it is loaded below libfiu.
_HOOK = """
LATER = ("framemake.days.lazy", "framemake.days.engine")
import builtins, ctypes, importlib, os, pkgutil, sys, zlib

# Python alone runs with libfiu: bash crashes in libfiu's own ferror() now and then, whatever fails or does not.
if "LD_PRELOAD" not in os.environ:
    os.environ["LD_PRELOAD"] = os.environ["FRAMEMAKE_TEST_PRELOAD"]
    os.execv(sys.executable, sys.orig_argv)
del os.environ["LD_PRELOAD"]

class Arm:
    # Asked for each module: the first of ours after cli is whole is imported by the main of a command.
    def find_spec(self, name, path=None, target=None):
        cli = sys.modules.get("framemake.cli")
        if not name.startswith("framemake.") or not hasattr(cli, "share"):
            return None
        sys.meta_path.remove(self)
        arm(cli)
        return None

def arm(cli):
    for wing in ("", ".frames", ".gwf", ".day", ".days", ".streams", ".streams.intake", ".streams.verify", ".host"):
        package = importlib.import_module("framemake" + wing)
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            if module.name not in LATER and not module.ispkg:
                importlib.import_module(module.name)
    # The commit is read out of .git, and left out where that cannot be read.
    version = importlib.import_module("framemake.version")
    known = version.version()
    for module in [module for name, module in sys.modules.items() if name.startswith("framemake.")]:
        if getattr(module, "version", None) is version.version and module is not version:
            module.version = lambda: known
    names, share, number, seed = os.environ["FRAMEMAKE_TEST_FAILING"].split()
    fiu = ctypes.CDLL("libfiu.so.0")
    share = float(share)
    fiu.fiu_init(0)
    fiu.fiu_set_prng_seed(int(seed) + zlib.crc32("\\0".join(sys.argv).encode()) % 1000)

    def switch(on):
        for name in names.split(","):
            if on:
                fiu.fiu_enable_random(name.encode(), 1, ctypes.c_void_p(int(number)), 0, ctypes.c_float(share))
            else:
                fiu.fiu_disable(name.encode())

    put = cli.Command._put

    def spared(self, *said):
        switch(False)
        put(self, *said)
        switch(True)

    cli.Command._put = spared

    switches.append(switch)

# What a library makes of a module that it cannot load is not ours: it is loaded in peace, as is the one that arms.
load, depth, switches = builtins.__import__, [0], []

def loaded(*what, **how):
    depth[0] += 1
    for switch in switches:
        switch(False)
    try:
        return load(*what, **how)
    finally:
        depth[0] -= 1
        if not depth[0]:
            for switch in switches:
                switch(True)

builtins.__import__ = loaded
sys.meta_path.insert(0, Arm())
"""


def failing(folder, names, probability, number, seed):
    """The environment in which calls of these names fail so often, with an error number."""
    needs("fiu-run")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_HOOK)
    plan = f"{','.join(names)} {probability} {number} {seed}"
    # Whatever crashes says where.
    more = {"PYTHONFAULTHANDLER": "1", "FRAMEMAKE_TEST_PRELOAD": PRELOAD, "FRAMEMAKE_TEST_FAILING": plan}
    return {"PYTHONPATH": os.fspath(folder), **more}
