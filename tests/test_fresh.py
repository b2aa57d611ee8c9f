"""Machines as they are installed, Debian 12 and 13: an ordinary user with sudo types what the README says."""

import re
import sys

import pytest
from support import commands, trees

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("without", "why"),
    [
        (["setpriv", "--bounding-set=-sys_admin"], "this machine lets nobody mount or make devices: "),
        (["setpriv", "--bounding-set=-mknod"], "this machine lets nobody mount or make devices: "),
        (["unshare", "--net"], "the mirror does not answer: E: "),
    ],
)
def test_where_no_tree_can_be_made_one_line_says_why(without, why, tmp_path):
    commands.needs(without[0])
    if commands.call(*without, "true").returncode:
        pytest.skip("root alone can do without")
    code = "from support import trees; print(trees.why_not())"
    env = {"FRAMEMAKE_TREES": tmp_path, "PYTHONPATH": f"{commands.ROOT}/lib:{commands.ROOT}/tests"}
    done = commands.call(*without, sys.executable, "-c", code, env=env)
    assert done.stdout.startswith(f"no tree of Debian: {why}") and done.stdout.count("\n") == 1, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_make_demo_on_a_fresh_machine(release):
    with trees.tree(release) as machine:
        # What an earlier run of this test has installed is not there on a fresh one.
        machine.well("rm -rf framemake/.venv framemake/demo; sudo apt-get -qq purge -y parallel jq rsync || true")
        done = machine.run("cd framemake && make demo", timeout=2400)
        assert done.returncode == 0, done.stderr
        said = done.stderr.splitlines()
        assert said[0].startswith(
            "setup: will install with sudo apt-get update, sudo apt-get install: parallel jq rsync"
        )
        assert "200 of 201 channels valid, 1 invalid, 0 pruned" in done.stdout
        # jq 1.7 prints a whole number with a point as it stands.
        assert "no channel has any in GPS 1396771200-1396774800\n" in done.stdout
        assert not re.search(r"\d\.0\b", done.stdout), done.stdout
        # After the words of apt-get and of Debian's packages.
        last = said[next(at for at, line in enumerate(said) if line.startswith("setup: making")) :]
        assert [line.split()[:2] for line in last] == [["setup:", word] for word in ("making", "installing", "frames")]
        checked = machine.run("cd framemake && bin/check-day demo/out/V1trend-2024-04-10/V1trend_20240410.h5")
        assert checked.returncode == 3 and "data is missing" in checked.stderr


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_make_test_on_a_fresh_machine(release):
    """What has no daemon, no browser or no shared data there is skipped, by name; nothing fails."""
    with trees.tree(release) as machine:
        done = machine.run("cd framemake && make test", timeout=2400)
        lines = done.stdout.splitlines()
        what = [line for line in lines if line.startswith(("____", "E   "))]
        assert done.returncode == 0, "\n".join(what[:200] + lines[-1:]) + done.stderr[-2000:]
        assert " passed" in done.stdout.splitlines()[-1] and "failed" not in done.stdout.splitlines()[-1]
