"""The tests' own helpers: their asserts tell what they compared, and tests are marked by what they start."""

import importlib
from pathlib import Path

import conftest
import pytest
import support
from support import browser, commands, daemons, rsync, serving, sites

HELPERS = sorted(path.stem for path in Path(support.__file__).parent.glob("[!_]*.py"))


@pytest.mark.parametrize("name", HELPERS)
def test_a_helper_says_what_it_gives_and_its_asserts_tell_what_they_compared(name):
    helper = importlib.import_module(f"support.{name}")
    assert helper.__doc__.strip()
    assert type(helper.__loader__).__name__ == "AssertionRewritingHook"
    assert not any(each.startswith(("test_", "Test")) for each in vars(helper)), "pytest would take it for a test"


def asks_a_daemon(folder):
    with rsync.Server(folder, {}):
        pass


class Host:
    """Something with a daemon in one of its methods."""

    def start(self):
        return daemons.sshd("folder", ["one"])


@pytest.fixture
def served_days():
    with serving.served("streams") as running:
        yield running


@pytest.mark.parametrize(
    ("of", "marks"),
    [
        (asks_a_daemon, {"daemon"}),
        (lambda: [Host() for _ in range(2)], {"daemon"}),
        (lambda: browser.chromium(), {"browser"}),
        (lambda: sites.Site("folder"), {"pipeline"}),
        (lambda: [commands.make("help", cwd="/"), asks_a_daemon("folder")], {"daemon", "pipeline"}),
        (lambda: commands.well("list-frames") and daemons.free_ports(1), set()),
    ],
)
def test_a_test_is_marked_by_what_it_starts(of, marks):
    assert conftest.marks(of, {}) == marks


def test_a_test_is_marked_by_what_its_fixtures_start(request):
    assert request.node.get_closest_marker("quick") and not request.node.get_closest_marker("daemon")
    fixtures = request._fixturemanager.getfixturedefs("served_days", request.node)
    assert conftest.marks(fixtures[0].func, {}) == {"daemon"}
