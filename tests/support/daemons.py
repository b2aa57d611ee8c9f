"""Real daemons for tests: an sshd that is several machines, a Slurm of one node, and whatever else runs in a block.

Each has keys and settings of its own, listens on free ports of loopback, and is ended by its process id.
"""

import contextlib
import getpass
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from support import commands

# Debian keeps daemons where only root's PATH looks.
os.environ["PATH"] += ":/usr/sbin:/sbin"


def free_ports(count):
    """TCP ports of loopback that nobody uses at this moment."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Served:
    """A context in which a server of socketserver, `self.server`, answers in a thread of this process."""

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def daemon(*command, **options):
    """Run a daemon in the foreground while the block runs; yields its process."""
    command = list(map(os.fspath, command))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(true, what, seconds=20):
    """What true() gives, once it is true; fail with `what` after some seconds."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(0.05)
    return found


def _answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Sshd:
    """An sshd with the names of several machines; `env` leads GNU parallel to it."""

    def __init__(self, folder):
        self.config, self.log = folder / "ssh_config", folder / "sshd.log"
        self.env = {"PARALLEL_SSH": f"ssh -F {shlex.quote(str(self.config))}"}

    def logins(self):
        """How many logins there were."""
        return self.log.read_text().count("Accepted publickey")


@contextlib.contextmanager
def sshd(folder, machines, dead=(), hidden=None, greeting=None):
    """Start an sshd that is `machines`, while those of `dead` are names where nobody listens; yields an Sshd.

    hidden: a folder that is empty for whoever logs in: what is in it is not shared.
    greeting: words that every login prints.
    """
    commands.needs("sshd", "ssh", "ssh-keygen", "parallel", "rsync")
    folder = Path(folder)
    port, nobody = free_ports(2)
    for key in ("host", "id"):
        made = commands.call("ssh-keygen", "-qt", "ed25519", "-N", "", "-f", folder / key)
        assert made.returncode == 0, made.stderr
    shutil.copy(folder / "id.pub", folder / "authorized_keys")
    kind, public = (folder / "host.pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(f"framemake {kind} {public}\n")
    server = {
        "ListenAddress": "127.0.0.1",
        "Port": port,
        "HostKey": folder / "host",
        "PidFile": folder / "pid",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "StrictModes": "no",
        "UsePAM": "yes",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "MaxStartups": 100,
        "MaxSessions": 100,
        # To bash this is no login: it leaves the files of whoever runs the tests unread.
        "SetEnv": "SHLVL=2",
    }
    if greeting:
        server["ForceCommand"] = f'echo {greeting}; eval "$SSH_ORIGINAL_COMMAND"'
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in server.items()))
    part = Sshd(folder)
    part.config.write_text(
        "".join(
            f"Host {' '.join(names)}\n  HostName 127.0.0.1\n  Port {at}\n"
            for names, at in ((machines, port), (dead, nobody))
            if names
        )
        + f"Host *\n  IdentityFile {folder / 'id'}\n  IdentitiesOnly yes\n  BatchMode yes\n"
        f"  UserKnownHostsFile {folder / 'known_hosts'}\n  HostKeyAlias framemake\n"
    )
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    command = [shutil.which("sshd"), "-D", "-f", folder / "sshd_config", "-E", part.log]
    if hidden:
        away = 'mount -t tmpfs none "$0" && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", away, hidden, *command]
    with daemon(*command):
        wait_until(lambda: _answers(port), f"sshd on port {port}")
        yield part


class Slurm:
    """A Slurm of one node; `env` leads its commands to it."""

    def __init__(self, folder):
        self.folder, self.env = folder, {"SLURM_CONF": str(folder / "slurm.conf")}

    def submitted(self):
        """How many batch jobs it was given, an array being one."""
        return (self.folder / "slurmctld.log").read_text().count("_slurm_rpc_submit_batch_job: JobId=")

    def queued(self):
        """The jobs that wait or run, a line each."""
        shown = commands.call("squeue", "-h", env=self.env)
        assert shown.returncode == 0, shown.stderr
        return shown.stdout


@contextlib.contextmanager
def slurm(hidden=None):
    """Start munged, slurmctld and slurmd on this machine; yields a Slurm that takes jobs.

    hidden: a folder that is empty for a job: what is in it is not shared.
    """
    commands.needs("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo")
    # munged wants a socket that everybody can reach: not so below pytest's folders.
    folder = Path(tempfile.mkdtemp(prefix="framemake-slurm-"))
    folder.chmod(0o711)
    host, me = socket.gethostname().split(".")[0], getpass.getuser()
    control, node = free_ports(2)
    settings = {
        "ClusterName": "framemake",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "CommunicationParameters": "NoInAddrAny,NoCtldInAddrAny",
        "SlurmctldPort": control,
        "SlurmdPort": node,
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder / 'munge'}",
        "SlurmUser": me,
        "SlurmdUser": me,
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd.pid",
        "SlurmctldLogFile": folder / "slurmctld.log",
        "SlurmdLogFile": folder / "slurmd.log",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "JobAcctGatherType": "jobacct_gather/none",
        "AccountingStorageType": "accounting_storage/none",
        "MpiDefault": "none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core_Memory",
        "DefMemPerCPU": 200,
        "ReturnToService": 2,
        "SchedulerParameters": "batch_sched_delay=0,sched_interval=2",
        "MailProg": "/bin/true",
        "Licenses": "sps:1",
        # A job of the partition first ends one of the partition days.
        "PreemptType": "preempt/partition_prio",
        "PreemptMode": "CANCEL",
        # Two tasks an array at most: what a range of more than 1,000 days comes to elsewhere.
        "MaxArraySize": 3,
    }
    conf = "".join(f"{name}={value}\n" for name, value in settings.items())
    conf += f"NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} RealMemory=1000 State=UNKNOWN\n"
    conf += f"PartitionName=days Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1\n"
    conf += f"PartitionName=first Nodes={host} MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=OFF\n"
    (folder / "slurm.conf").write_text(conf)
    key = folder / "key"
    key.touch(0o600)
    key.write_bytes(os.urandom(128))
    part = Slurm(folder)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {**os.environ, **part.env}}
    munge = ["munged", "--foreground", f"--key-file={key}", f"--socket={folder / 'munge'}"]
    munge += [f"--{name}-file={folder / name}" for name in ("pid", "seed")] + [f"--log-file={folder / 'munged.log'}"]

    node_daemon = ["slurmd", "-D"]
    if hidden:
        node_daemon = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', hidden, *node_daemon]

    def is_idle():
        return commands.call("sinfo", "-ho", "%T", env=part.env).stdout.strip() == "idle"

    try:
        with daemon(*munge, **quiet):
            wait_until((folder / "munge").exists, "munged")
            with daemon("slurmctld", "-D", **quiet), daemon(*node_daemon, **quiet):
                wait_until(is_idle, f"a Slurm node that is idle, see {folder}")
                yield part
                # What a test that failed left would outlive its daemon.
                commands.call("scancel", "--user", me, env=part.env)
                wait_until(lambda: not part.queued(), "no job is left")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
