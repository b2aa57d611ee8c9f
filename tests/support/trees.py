"""Machines of other Debian releases: trees of debootstrap, in which an ordinary user with sudo has this checkout.

A tree is kept for the next run, below $FRAMEMAKE_TREES (/var/tmp/framemake-trees); what runs in it runs in a mount and
process namespace that ends with the test.  Where no tree can be made, as in a container, a test is skipped, in CI too.
"""

import contextlib
import functools
import inspect
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from framemake import files

from support import commands, daemons

USER = "tester"
# A plain chroot does not do: HTCondor's starter makes / private, which must be a mount.  The first process there is a
# bash, which looks after those whose parents have ended, as an init does.
MOUNT = """mount --make-rprivate / && mount --bind "$0" "$0"
mount --rbind /dev "$0/dev" && mount --rbind /sys "$0/sys" && mount -t proc proc "$0/proc"
cd "$0" && mkdir -p old && pivot_root . old
"""
ENTER = f"""{MOUNT}
umount -l /old && rm -f /entered
grep -q "$(hostname)" /etc/hosts || echo "127.0.0.1 localhost $(hostname)" >>/etc/hosts
touch /entered && exec bash -c 'while :; do sleep 1000 & wait; done'"""
# Words that run a program in namespaces of its own, which end with it; it ends with who started it, killed or not.
APART = ("setpriv", "--pdeathsig=KILL", "unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc")
# What of this machine's environment a login there has too: how packages are reached.
REACH = re.compile(r"(?i:https?_proxy|no_proxy)|PIP_.*|SSL_CERT_.*|REQUESTS_CA_BUNDLE")


class Tree:
    """A tree that is entered.  folder: where it lies; home: the user's home, as this machine sees it."""

    def __init__(self, folder, holder):
        self.folder, self.home, self._holder = folder, folder / "home" / USER, holder

    def words(self, command, user=USER):
        """The words that run a shell command in the tree; a user's is a login's, with the umask of Debian 13's."""
        (inside,) = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
        enter = ["nsenter", f"--target={inside}", "--mount", "--pid"]
        if not user:
            return [*enter, "sh", "-c", command]
        reach = f"--whitelist-environment={','.join(filter(REACH.fullmatch, os.environ))}"
        return [*enter, "su", "--login", reach, user, "-c", f"umask 002; {command}"]

    def run(self, command, user=USER, timeout=1200):
        """The CompletedProcess of a shell command in the tree."""
        return commands.call(*self.words(command, user), timeout=timeout)

    def well(self, command, user=USER):
        """The output of one that must succeed."""
        done = self.run(command, user)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def kept():
    """The folder in which trees are kept."""
    folder = Path(os.environ.get("FRAMEMAKE_TREES") or "/var/tmp/framemake-trees")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def why_not():
    """Why no tree can be made and entered on this machine, in a line; empty where one can."""
    if os.geteuid() != 0:
        return "no tree of Debian: root alone makes one"
    with tempfile.TemporaryDirectory(dir=kept()) as name:
        try_it = f'mkdir "$0/dev" "$0/sys" "$0/proc"; mknod "$0/null" c 1 3; : >"$0/null"\n{MOUNT}'
        what = "this machine lets nobody mount or make devices"
        done = commands.call(*APART, "sh", "-ec", try_it, name)
        if done.returncode == 0:
            what = "the mirror does not answer"
            # wget would try for hours.
            done = commands.call("timeout", "120", "debootstrap", "--print-debs", "trixie", Path(name) / "mirror")
    said = (done.stderr or done.stdout).strip().rpartition("\n")[2]
    return "" if done.returncode == 0 else f"no tree of Debian: {what}: {said}"


@contextlib.contextmanager
def tree(release, *packages):
    """Enter the tree of a release that has these packages, made the first time; the checkout is ~/framemake there."""
    commands.needs("debootstrap", "unshare", "nsenter", "rsync", "setpriv")
    if why := why_not():
        pytest.skip(why)
    folder = kept() / "-".join((release, *sorted(packages)))
    with files.locked(str(folder) + ".lock"):
        recipe = inspect.getsource(_make)
        if not (made := folder / "made").exists() or made.read_text() != recipe:
            _make(release, packages, folder)
            made.write_text(recipe)
        # What was killed as it installed is ended first, or nothing is installed any more.
        _run("chroot", folder, "dpkg", "--configure", "-a")
        # What the tests of an earlier run have left there comes to gigabytes.
        _run("find", folder / "tmp", "-mindepth", "1", "-delete")
        home = folder / "home" / USER / "framemake"
        given = ("--exclude=.venv", "--exclude=.git", "--exclude=/demo", "--exclude=__pycache__")
        done = commands.call("rsync", "-a", "--delete", *given, f"{commands.ROOT}/", home)
        assert done.returncode == 0, done.stderr
        _run("chroot", folder, "chown", "-R", f"{USER}:{USER}", f"/home/{USER}")
        (folder / "entered").unlink(missing_ok=True)
        with daemons.daemon(*APART, "sh", "-ec", ENTER, folder) as holder:
            daemons.wait_until((folder / "entered").exists, "the tree is entered", 30)
            try:
                yield Tree(folder, holder)
            finally:
                # unshare lets all other signals wait until what it started has ended.
                holder.kill()


def _run(*words):
    done = commands.call(*words, timeout=1200)
    assert done.returncode == 0, f"{shlex.join(map(str, words))}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


def _make(release, packages, folder):
    shutil.rmtree(folder, ignore_errors=True)
    # What it mounts there is gone when it ends, though it is killed.
    _run("unshare", "--mount", "debootstrap", "--variant=minbase", release, folder)
    # How this machine reaches its packages is how the tree does.
    for path in [*Path("/etc/apt/apt.conf.d").glob("*"), Path("/etc/pip.conf"), *Path("/etc/xdg/pip").glob("*")]:
        if path.is_file() and ("pip" in str(path) or "Acquire" in path.read_text(errors="replace")):
            target = folder / path.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", folder / "etc" / name)
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    get = ["chroot", folder, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    _run(*get, "update")
    wanted = ("git", "make", "python3", "sudo", "ca-certificates", *packages)
    _run(*get, "install", "-y", "--no-install-recommends", *wanted)
    if certificates.exists():
        shutil.copy(certificates, folder / certificates.relative_to("/"))
    _run("chroot", folder, "useradd", "-m", "-U", "-s", "/bin/bash", USER)
    (folder / "etc" / "sudoers.d" / USER).write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")


def popen(entered, command):
    """Start a shell command in a tree, in a group of its own."""
    return subprocess.Popen(
        list(map(str, entered.words(command))), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
