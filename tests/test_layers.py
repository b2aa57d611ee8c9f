"""The package is built as lib/README.md says: its rooms, who imports whom, and what the library leaves to the commands.

Imports that only lead to what stands before go round in no circle, and cli, which stands last, is left to bin/.
"""

import ast
import re

import pytest
from support.commands import ROOT

PACKAGE = ROOT / "lib" / "framemake"
README = (ROOT / "lib" / "README.md").read_text()
FACE = "framemake"


def block(name):
    """The words of each line of the README's block of this name."""
    return [line.split() for line in re.search(rf"```{name}\n(.*?)```", README, re.DOTALL)[1].splitlines()]


def ranks():
    """{room: its place in the README's order}; rooms and faces as 'gwf.core' and 'gwf', that of the package last."""
    found = {}
    for number, (wing, *rooms) in enumerate(block("layers")):
        inside = wing.replace("/", ".") if wing.endswith("/") else ""
        for place, room in enumerate(rooms):
            assert f"{inside}{room}" not in found, f"named twice: {inside}{room}"
            found[f"{inside}{room}"] = number, place
        if inside:
            found[inside[:-1]] = number, len(rooms)
    return {**found, FACE: (len(found), 0)}


RANKS = ranks()


def modules():
    """{room or face: its file}, of all that is there."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts) or FACE] = path
    return found


MODULES = modules()
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
LIBRARY = [name for name in MODULES if name.partition(".")[0] != "cli"]


def home(name):
    """The dotted name, from framemake on, of the package that a room or face is in."""
    path = MODULES[name].parent.relative_to(PACKAGE.parent)
    return ".".join(path.parts)


def named(dotted):
    """The room or face that a dotted name from framemake on stands for, or None."""
    inside = dotted.removeprefix(f"{FACE}.")
    return inside if inside in MODULES else None


def imports(name):
    """(line, room or face) of each import of the package's own, wherever in the module it stands."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            for each in node.names:
                if each.name.split(".")[0] == FACE:
                    yield node.lineno, named(each.name)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = home(name).split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
            if base.split(".")[0] == FACE:
                for each in node.names:
                    # A room of that package, or what a room or face has.
                    yield node.lineno, named(f"{base}.{each.name}") or named(base)


def where(name, line):
    return f"{MODULES[name].relative_to(ROOT)}:{line}"


# --- who imports whom --------------------------------------------------------------------


def test_every_room_is_named_and_every_name_is_a_room():
    assert sorted(set(MODULES) - set(RANKS)) == [], "not in lib/README.md"
    assert sorted(set(RANKS) - set(MODULES)) == [], "not in lib/framemake"


@pytest.mark.parametrize("name", MODULES)
def test_a_room_imports_what_stands_before_it(name):
    last = (len(RANKS), 1)
    wrong = [
        f"{where(name, line)} imports {other}"
        for line, other in imports(name)
        if RANKS.get(other, last) >= RANKS.get(name, last) or (name == FACE and other not in LIBRARY)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_walk_sees_imports_of_every_form():
    seen = {(name, other) for name in MODULES for _, other in imports(name)}
    assert all(other is not None for _, other in seen)
    # At the head of a module, from the wing above, within a function, and by what a room has.
    assert {("gps", "errors"), ("cli.command", "gps"), ("cli.command", "day.folder"), ("serve.api", "gps")} <= seen


# --- what the library leaves alone -------------------------------------------------------


def dotted(node):
    """'os.environ.setdefault' of such a node, '' of any other."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def environ_is_changed(node):
    """Whether a node assigns to os.environ, removes from it or calls what does."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.ctx, (ast.Store, ast.Del)) and dotted(node.value) == "os.environ"
    changing = {f"os.environ.{name}" for name in ("setdefault", "update", "pop", "clear", "popitem", "__setitem__")}
    return isinstance(node, ast.Call) and dotted(node.func) in changing | {"os.putenv", "os.unsetenv"}


def faults(tree):
    """(line, kind) of what a room of the library does that it should leave to a command."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno, "print"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            whole = [each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if "argparse" in whole:
                yield node.lineno, "argparse"
        if environ_is_changed(node):
            yield node.lineno, "environ"
        if isinstance(node, ast.Attribute) and dotted(node) in ("sys.stdout", "sys.stderr"):
            yield node.lineno, "stdout"
        # A Command, or the Namespace of its parsed options.
        if isinstance(node, ast.Attribute) and dotted(node).split(".")[-2:] == ["command", "args"]:
            yield node.lineno, "options"
        if isinstance(node, ast.arg) and "Namespace" in ast.dump(node.annotation or ast.Constant("")):
            yield node.lineno, "options"


@pytest.mark.parametrize("name", LIBRARY)
def test_the_library_leaves_to_the_commands_what_is_theirs(name):
    allowed = {what for room, what in block("exceptions") if room == name}
    wrong = [f"{where(name, line)} {what}" for line, what in faults(TREES[name]) if what not in allowed]
    assert not wrong, "\n".join(wrong)


# What they open is told by other words: a frame's fault, or nothing; and `compiled` runs before all else.
OPEN_ELSE = ("files", "child", "compiled", "version", "convert", "gwf")


@pytest.mark.parametrize("name", [name for name in LIBRARY if not name.startswith(OPEN_ELSE)])
def test_files_are_opened_so_that_every_error_names_them(name):
    """By files.opened: open() names a file in the error of its opening alone."""
    calls = (node for node in ast.walk(TREES[name]) if isinstance(node, ast.Call))
    plain = [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "open"]
    assert not plain, [where(name, line) for line in plain]


def test_an_exception_that_nothing_needs_any_more_is_taken_out():
    needed = {(name, what) for name in LIBRARY for _, what in faults(TREES[name])}
    assert [line for line in block("exceptions") if tuple(line) not in needed] == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("print(1)", "print"),
        ("def f():\n    import argparse", "argparse"),
        ("from argparse import Namespace", "argparse"),
        ("import os\nos.environ['A'] = 'b'", "environ"),
        ("import os\ndel os.environ['A']", "environ"),
        ("import os\nos.environ.setdefault('A', 'b')", "environ"),
        ("import sys\nsys.stderr.write('')", "stdout"),
        ("def f(command):\n    return command.args.day", "options"),
    ],
)
def test_the_walk_sees_what_is_not_for_the_library(code, kind):
    assert [what for _, what in faults(ast.parse(code))] == [kind]
