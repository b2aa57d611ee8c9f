"""The version of the project, and where its checkout is."""

import os

VERSION = "0.1.0"
# The checkout: the folder of the Makefile.  An installed package has none: there is nothing of it in this folder.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def version() -> str:
    """The project's version, with the commit in a git checkout: '0.1.0+g83cd66438'."""
    return VERSION + _commit(os.path.join(ROOT, ".git"))


def _commit(git: str) -> str:
    """'+g' and the short commit that a .git folder has checked out, read without starting git; '' if none is found."""
    try:
        with open(os.path.join(git, "HEAD"), encoding="ascii") as head:
            commit = head.read().strip()
        if commit.startswith("ref: "):
            with open(os.path.join(git, commit[5:]), encoding="ascii") as ref:
                commit = ref.read().strip()
        return f"+g{commit[:9]}" if len(commit) >= 40 else ""
    except (OSError, UnicodeDecodeError):
        return ""
