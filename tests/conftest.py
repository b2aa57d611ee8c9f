"""Paths and fixtures that all tests share, and which tests are quick.

Marks come by themselves where a test uses, however indirectly, a helper of tests/support that starts what they name:
`daemon` a server that is asked over a socket, `browser` Chromium, `pipeline` a make of days or its commands in turn.
Whatever is none of these, nor `slow` nor `long` by hand, is `quick`; what is `quick` by hand is that whatever it uses.
A test of properties (Hypothesis) tries a few examples, the same each time; in a run of what is `long` it is one of
these, and tries many.
"""

import inspect
import os
import sys
import types
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "lib"))
sys.path.insert(0, str(ROOT / "tests"))
# Before the first of them is imported: an assert that fails in a helper shows what it compared, as one in a test does.
pytest.register_assert_rewrite("support")
# As under make: with another python3 first, each command would start that one, and then this.
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

# The helpers that start something, and the mark of each test that reaches one.
STARTS = {
    ("support.daemons", "daemon"): "daemon",
    ("support.serving", "served"): "daemon",
    ("support.serving", "Server"): "daemon",
    ("test_datafind", "real_server"): "daemon",
    ("support.browser", "chromium"): "browser",
    ("support.commands", "make"): "pipeline",
}
NOT_QUICK = ("daemon", "browser", "pipeline", "slow", "long")


# So many examples of a property; in a long run many more, and of one that fails the smallest is looked for.
settings.register_profile(
    "few",
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "many", settings.get_profile("few"), max_examples=2000, derandomize=False, print_blob=True, phases=list(Phase)
)


def pytest_configure(config):
    settings.load_profile("many" if _is_long(config) else "few")


def _is_long(config):
    return config.getoption("markexpr", "") == "long"


@pytest.fixture(scope="session")
def shared():
    """The folder of shared frames, lists and references, beside the checkout or at $FRAMEMAKE_SHARED."""
    path = Path(os.environ.get("FRAMEMAKE_SHARED") or ROOT.parent / "shared")
    for part in ("frames", "channels"):
        if not (path / part).is_dir():
            pytest.skip(f"no shared data, $FRAMEMAKE_SHARED may name it: {path / part}")
    return path


def pytest_collection_modifyitems(config, items):
    # cron fires at the next minute: the one who waits for it does so while others work.
    items.sort(key=lambda item: "cron_host" not in item.fixturenames)
    known = {}
    for item in items:
        if _is_long(config) and getattr(item.function, "is_hypothesis_test", False):
            item.add_marker("long")
        fixtures = (each for found in item._fixtureinfo.name2fixturedefs.values() for each in found)
        for function in (item.function, *(each.func for each in fixtures)):
            for mark in marks(function, known):
                item.add_marker(mark)
        if not any(item.get_closest_marker(mark) for mark in NOT_QUICK):
            item.add_marker("quick")


def marks(thing, known):
    """The marks of all that a function or class of the tests names, and of what that names in turn."""
    thing = inspect.unwrap(thing)
    if thing not in known:
        known[thing] = {STARTS[key]} if (key := (thing.__module__, thing.__qualname__)) in STARTS else set()
        for other in mentioned(thing):
            known[thing] |= marks(other, known)
    return known[thing]


def mentioned(thing):
    """The functions and classes of tests/ that a function names, or a class in its methods."""
    if isinstance(thing, type):
        for each in vars(thing).values():
            each = each.fget if isinstance(each, property) else each
            if inspect.isfunction(each):
                yield from mentioned(each)
        return
    names = all_names(thing.__code__)
    for name in names:
        found = thing.__globals__.get(name)
        ours = isinstance(found, types.ModuleType) and found.__name__.startswith("support.")
        for each in [getattr(found, each, None) for each in names] if ours else [found]:
            if isinstance(each, (type, types.FunctionType)) and each.__module__.startswith(("support.", "test_")):
                yield inspect.unwrap(each)


def all_names(code):
    """The names that a function's code uses, those of the functions in it too."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= all_names(constant)
    return names
