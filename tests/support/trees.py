"""Machines of other Debian releases: trees of debootstrap, in which an ordinary user with sudo has this checkout.

A tree is kept for the next run, below $FRAMEMAKE_TREES (/var/tmp/framemake-trees); what runs in it runs in a mount and
process namespace that ends with the test.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from framemake import files

from support import commands, daemons

USER = "tester"
# A plain chroot does not do: HTCondor's starter makes / private, which must be a mount.  The first process there is a
# bash, which looks after those whose parents have ended, as an init does.
ENTER = """mount --make-rprivate / && mount --bind "$0" "$0"
mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc"
cd "$0" && mkdir -p old && pivot_root . old && umount -l /old && rm -f /entered
grep -q "$(hostname)" /etc/hosts || echo "127.0.0.1 localhost $(hostname)" >>/etc/hosts
touch /entered && exec bash -c 'while :; do sleep 1000 & wait; done'"""


class Tree:
    """A tree that is entered.  folder: where it lies; home: the user's home, as this machine sees it."""

    def __init__(self, folder, holder):
        self.folder, self.home, self._holder = folder, folder / "home" / USER, holder

    def words(self, command, user=USER):
        """The words that run a shell command in the tree; a user's shell has the umask of Debian 13's logins."""
        (inside,) = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
        as_user = ["su", user, "-c", f"umask 002; cd; {command}"] if user else ["sh", "-c", command]
        return ["nsenter", f"--target={inside}", "--mount", "--pid", *as_user]

    def run(self, command, user=USER, timeout=1200):
        """The CompletedProcess of a shell command in the tree."""
        return commands.call(*self.words(command, user), timeout=timeout)

    def well(self, command, user=USER):
        """The output of one that must succeed."""
        done = self.run(command, user)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextlib.contextmanager
def tree(release, *packages):
    """Enter the tree of a release that has these packages, made the first time; the checkout is ~/framemake there."""
    commands.needs("debootstrap", "unshare", "nsenter", "rsync")
    if os.geteuid() != 0:
        pytest.skip("root alone makes a tree")
    kept = Path(os.environ.get("FRAMEMAKE_TREES") or "/var/tmp/framemake-trees")
    kept.mkdir(parents=True, exist_ok=True)
    folder = kept / "-".join((release, *sorted(packages)))
    with files.locked(str(folder) + ".lock"):
        if not (folder / "made").exists():
            _make(release, packages, folder)
        home = folder / "home" / USER / "framemake"
        given = ("--exclude=.venv", "--exclude=.git", "--exclude=/demo", "--exclude=__pycache__")
        done = commands.call("rsync", "-a", "--delete", *given, f"{commands.ROOT}/", home)
        assert done.returncode == 0, done.stderr
        _run("chroot", folder, "chown", "-R", f"{USER}:{USER}", f"/home/{USER}")
        (folder / "entered").unlink(missing_ok=True)
        apart = ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc"]
        with daemons.daemon(*apart, "sh", "-ec", ENTER, folder) as holder:
            daemons.wait_until((folder / "entered").exists, "the tree is entered", 30)
            yield Tree(folder, holder)


def _run(*words):
    done = commands.call(*words, timeout=1200)
    assert done.returncode == 0, f"{shlex.join(map(str, words))}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


def _make(release, packages, folder):
    shutil.rmtree(folder, ignore_errors=True)
    _run("debootstrap", "--variant=minbase", release, folder)
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
    (folder / "made").touch()


def popen(entered, command):
    """Start a shell command in a tree, in a group of its own."""
    return subprocess.Popen(
        list(map(str, entered.words(command))), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
