"""A fault at a certain moment: a file is changed just as a program of ours opens it, and not by luck.

armed() gives the environment in which each Python process has a hook on what it opens.  The hook does what a plan
says: the path, at which opening of it by one process, in which program, and the words of a command that is run then.
A fault happens once.
"""

import json
import os
from pathlib import Path

_HOOK = """
import json, os, subprocess, sys
faults, counts, busy = json.loads(os.environ["FRAMEMAKE_TEST_FAULTS"]), {}, []

def hook(event, args):
    if event != "open" or busy or not getattr(sys, "argv", None) or not isinstance(args[0], (str, bytes)):
        return
    path = os.fsdecode(args[0])
    for path_wanted, at, inside, done, words in faults:
        # run-steps plays several commands.
        if path != path_wanted or os.path.basename(sys.argv[0]) != inside:
            continue
        counts[path] = counts.get(path, 0) + 1
        busy.append(1)
        if counts[path] == at:
            try:
                os.close(os.open(done, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                subprocess.run(words, check=True)
        busy.clear()

sys.addaudithook(hook)
"""


def armed(folder, *faults):
    """The environment of faults: (path, which opening from 1 on, program, *words of the command to be run then)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_HOOK)
    plan = []
    for number, (path, at, program, *words) in enumerate(faults):
        plan.append([os.fspath(path), at, program, str(folder / f"done{number}"), list(map(os.fspath, words))])
    return {"PYTHONPATH": str(folder), "FRAMEMAKE_TEST_FAULTS": json.dumps(plan)}


def happened(folder):
    """How many faults of an armed folder have happened."""
    return len(list(Path(folder).glob("done*")))
