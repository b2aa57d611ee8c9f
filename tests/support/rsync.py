"""A real rsync daemon with a password, on a free port of loopback, and the end of what a mirror has started."""

import contextlib
import os
import subprocess
from pathlib import Path

from support import commands, daemons

USER, PASSWORD = "i2u2data", "secret with spaces"


class Server:
    """An rsync daemon that gives folders as modules; off until start(), and off again after stop()."""

    def __init__(self, folder, modules):
        commands.needs("rsync")
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.port,) = daemons.free_ports(1)
        self.log = self.folder / "log"
        self.password = self._secret("password", f"{PASSWORD}\n")
        secrets = self._secret("secrets", f"{USER}:{PASSWORD}\n")
        lines = ["use chroot = no", f"log file = {self.log}"]
        if os.geteuid() == 0:
            # The daemon reads pytest's folders, which are their owner's alone.
            lines += ["uid = root", "gid = root"]
        for name, path in modules.items():
            lines += [f"[{name}]", f"path = {path}", "read only = yes"]
            lines += [f"auth users = {USER}", f"secrets file = {secrets}"]
        (self.folder / "rsyncd.conf").write_text("".join(f"{line}\n" for line in lines))
        self._running = contextlib.ExitStack()

    def _secret(self, name, text):
        path = self.folder / name
        path.touch(0o600)
        path.write_text(text)
        return path

    def address(self, path):
        return f"rsync://{USER}@127.0.0.1:{self.port}/{path}"

    def start(self):
        command = ["rsync", "--daemon", "--no-detach", "--address", "127.0.0.1", "--port", str(self.port)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._running.enter_context(daemons.daemon(*command, "--config", self.folder / "rsyncd.conf", **quiet))
        daemons.wait_until(self._answers, f"rsync daemon on port {self.port}")
        return self

    def _answers(self):
        return commands.call("rsync", f"rsync://127.0.0.1:{self.port}/").returncode == 0

    def stop(self):
        self._running.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


def started_by(process, tree):
    """The process ids of what is left of a process that leads a session: the session, and the rsyncs to a tree."""
    shown = commands.call("ps", "-ewwo", "pid=,sid=,args=")
    assert shown.returncode == 0, shown.stderr
    found = []
    for line in shown.stdout.splitlines():
        pid, session, args = line.split(None, 2)
        if int(session) == process.pid or (args.startswith("rsync --recursive") and str(tree) in args):
            found.append(int(pid))
    return found


def kill_all(process, tree):
    """kill -9 of a process that leads a session, and of all that it started to bring frames to a tree."""
    while pids := started_by(process, tree):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        process.wait()
