"""The version of the project, and where its checkout is."""

import os

from . import __version__

# The checkout: the folder of the Makefile.  An installed package has none, and then nothing of it is looked for.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def version():
    """The project's version, with the commit when this is a git checkout."""
    return __version__ + _commit(os.path.join(ROOT, ".git"))


def _commit(git):
    """'+g' and the short commit that a .git folder has checked out, read without starting git; else ''."""
    try:
        with open(os.path.join(git, "HEAD"), encoding="ascii") as head:
            commit = head.read().strip()
        if commit.startswith("ref: "):
            with open(os.path.join(git, commit[5:]), encoding="ascii") as ref:
                commit = ref.read().strip()
        return f"+g{commit[:9]}" if len(commit) >= 40 else ""
    except (OSError, UnicodeDecodeError):
        return ""
