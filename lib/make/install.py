"""Puts the commands of bin/ within reach, or takes them away again: lib/make/install.py install|uninstall

PREFIX, and DESTDIR before it, say where: links in bin, which find this checkout and its environment; man pages and
completion for bash, both made of the commands' own options.  What was put there stands in share/framemake/installed,
and what stands there is removed, unless it has changed since: nothing else is touched.
"""

import contextlib
import hashlib
import os
import re
import runpy
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lib"))

from framemake import cli, files  # noqa: E402
from framemake.errors import BadInput, wording  # noqa: E402
from framemake.version import version  # noqa: E402

LIST = "share/framemake/installed"
FOLDER = "folder"
# What is completed, by how an option calls its value; the functions are those of completion.bash.
DAYS, CHANNELS, FILES, FOLDERS = "_framemake_days", "_framemake_channels", "_shtab_compgen_files", "_shtab_compgen_dirs"
COMPLETED = {
    DAYS: ("YYYY-MM-DD", "DAY", "TIME"),
    CHANNELS: ("CHANNEL",),
    FILES: ("FILE", "FILE.png", "PATH", "CHANNELS", "LIST", "FFL", "DAY.h5", "STREAM"),
    FOLDERS: ("OUT", "DIR", "STREAMS", "FRAMES", "PARTS", "DEST"),
}


def parser_of(name):
    """The parser of a command of bin/, with all of its options; the command itself does not run."""
    found = []
    run = cli.Command.run
    cli.Command.run = lambda self, main: found.append(self.whole_parser())
    try:
        sys.argv = [str(ROOT / "bin" / name)]
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        cli.Command.run = run
    return found[0]


def manual(parser):
    """The text of a man page."""
    from argparse_manpage.manpage import Manpage

    first = parser.description.split("\n", 1)[0].rstrip(".:")
    # A line that begins with a dot would be a command of man's own.
    parser.description = re.sub(r"\n(?=[.'])", " ", parser.description)
    return str(Manpage(parser, {"description": first, "project_name": "framemake", "version": version(),
                                "manual_title": "framemake"}))  # fmt: skip


def completion(parser):
    """What bash reads to complete a command's options, files, days and channels."""
    import shtab

    for action in parser._actions:
        words = action.metavar if isinstance(action.metavar, str) else ""
        for function, names in COMPLETED.items():
            if words in names:
                action.complete = {"bash": function}
    common = (ROOT / "lib" / "make" / "completion.bash").read_text()
    function = "".join(letter if letter.isalnum() else "_" for letter in parser.prog)
    # A channel has colons, at which bash breaks a word: ours joins it again before shtab's looks at it.
    ours = f"_framemake_{function}"
    lines = f"\n{ours}() {{ _framemake _shtab_{function}; }}\ncomplete -o bashdefault -F {ours} {parser.prog}\n"
    return shtab.complete(parser, "bash", preamble=common) + lines


def wanted():
    """{path below PREFIX: text of a file, or Path that a link leads to}."""
    found = {}
    for path in sorted((ROOT / "bin").iterdir()):
        if path.is_dir():
            continue
        parser = parser_of(path.name)
        found[f"bin/{path.name}"] = path if is_default() else wrapper(path)
        found[f"share/man/man1/{path.name}.1"] = manual(parser)
        found[f"share/bash-completion/completions/{path.name}"] = completion(parser)
    return found


def is_default():
    """Whether a command finds its Python by itself."""
    return os.environ.get("VENV") == str(ROOT / ".venv")


def wrapper(path):
    return f'#!/bin/sh\nVENV=${{VENV-{shlex.quote(os.environ.get("VENV", ""))}}} exec {shlex.quote(str(path))} "$@"\n'


def digest(path):
    """What a file or link is, in a word; '' if there is none."""
    if path.is_symlink():
        return f"link:{os.readlink(path)}"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def installed(base):
    """{path below PREFIX: what it is} that an earlier install put there, its folders too."""
    try:
        lines = (base / LIST).read_text().splitlines()
    except FileNotFoundError:
        return {}
    return dict(reversed(line.split("\t", 1)) for line in lines)


def note(base, entries):
    (base / LIST).parent.mkdir(parents=True, exist_ok=True)
    files.write(str(base / LIST), "".join(f"{what}\t{path}\n" for path, what in entries.items()))


def remove(base, entries):
    """Remove what is as it was put there; what has changed stays, and is told."""
    for path, what in entries.items():
        if what == FOLDER:
            continue
        now = digest(base / path)
        if now == what:
            (base / path).unlink()
        elif now:
            sys.stderr.write(f"make: has changed since it was installed, and stays: {str(base / path)!r}\n")


def remove_folders(base, entries):
    for path in sorted((path for path, what in entries.items() if what == FOLDER), key=len, reverse=True):
        with contextlib.suppress(OSError):  # something else is in it
            (base / path).rmdir()


def install(base):
    before, new = installed(base), wanted()
    for path in new:
        if digest(base / path) and path not in before:
            raise BadInput(f"is there, and no install of ours put it there: {str(base / path)!r}")
    folders = {path: what for path, what in before.items() if what == FOLDER}
    for path in [*new, LIST]:
        for folder in reversed(Path(path).parents):
            if not (base / folder).exists():
                folders[str(folder)] = FOLDER
                (base / folder).mkdir(parents=True)
    what = {path: f"link:{to}" if isinstance(to, Path) else hashlib.sha256(to.encode()).hexdigest()
            for path, to in new.items()}  # fmt: skip
    # The list first: an install that is killed can be undone.
    note(base, {**folders, **before, **what})
    remove(base, {path: each for path, each in before.items() if path not in new})
    for path, to in new.items():
        if isinstance(to, Path):
            aside = base / f"{path}.new"
            aside.unlink(missing_ok=True)
            aside.symlink_to(to)
            aside.replace(base / path)
        else:
            files.write(str(base / path), to, durable=False)
            (base / path).chmod(0o755 if path.startswith("bin/") else 0o644)
    note(base, {**folders, **what})


def uninstall(base):
    entries = installed(base)
    if not entries:
        raise BadInput(f"nothing of ours is installed there: {str(base)!r}")
    remove(base, entries)
    (base / LIST).unlink()
    remove_folders(base, entries)


def main(what):
    prefix = os.environ.get("PREFIX", "")
    try:
        if not prefix.startswith("/"):
            raise BadInput(f"PREFIX must be an absolute path: {prefix!r}")
        {"install": install, "uninstall": uninstall}[what](Path(os.environ.get("DESTDIR", "") + prefix))
    except BadInput as error:
        raise SystemExit(f"make: {error}") from None
    except ModuleNotFoundError as error:
        raise SystemExit(f"make: a package is not installed, 'make setup' installs it: {error.name!r}") from None
    except OSError as error:
        raise SystemExit(f"make: {wording(error)}: {error.filename!r}") from None


if __name__ == "__main__":
    main(*sys.argv[1:])
