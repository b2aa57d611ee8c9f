"""The crontab: what make install-cron and remove-cron change and leave, a real cron that fires it, systemd's units."""

import os
import re
import shutil
import subprocess
import time

import pytest
from support.commands import needs
from support.daemons import daemon, wait_until
from support.sites import ROOT

NAMED = r"^make: line (\d+) of the crontab does the same work, take it out, or have TAKE_OVER=yes do it: (.*)$"
FIRST, LAST = "# >>> framemake >>>", "# <<< framemake <<<"
TEMPLATE = (ROOT / "cron/crontab").read_bytes()
# cron reads a spool where a line that does not end is not there; crontab(1) takes no such file.
CRONTAB = """#!/bin/sh
case "$1" in
  -l) [ -e "$SPOOL" ] && exec cat "$SPOOL"; echo "no crontab for me" >&2; exit 1 ;;
  -r) exec rm "$SPOOL" ;;
esac
[ -z "$(tail -c 1 "$1")" ] || { echo "new crontab file is missing newline before EOF, can't install." >&2; exit 1; }
exec cp "$1" "$SPOOL"
"""


class User:
    """Somebody with a crontab, kept by a stand-in for crontab(1), as the machine's own is not for tests."""

    def __init__(self, folder):
        self.spool = folder / "spool"
        (folder / "crontab").write_text(CRONTAB)
        (folder / "crontab").chmod(0o755)
        self.env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SPOOL": str(self.spool)}
        for name in ("MAKEFLAGS", "MAILTO", "NIGHTLY", "CRONTAB", "DRY", "DRY_RUN", "TAKE_OVER"):
            self.env.pop(name, None)

    def does(self, what, status=0, **variables):
        """Run cron/install; what it shows and says."""
        env = {**self.env, **{name: str(value) for name, value in variables.items()}}
        done = subprocess.run(
            [ROOT / "cron/install", what], env=env, capture_output=True, errors="surrogateescape", check=False
        )
        assert done.returncode == status, done.stderr
        assert done.stderr.startswith("make: ") and done.stderr.count("\n") == 1
        return done.stdout, done.stderr

    @property
    def crontab(self):
        return self.spool.read_bytes() if self.spool.exists() else None

    def block(self):
        text = self.crontab.decode()
        return text[text.index(FIRST) :]


@pytest.fixture
def user(tmp_path):
    return User(tmp_path)


def test_it_is_put_into_a_crontab_that_is_not_there_and_taken_out_again(user):
    shown, said = user.does("install")
    assert said == "make: the crontab is changed\n"
    lines = user.block().splitlines()
    assert lines[0].startswith(FIRST) and lines[-1] == LAST and f"FRAMEMAKE={ROOT}" in lines
    assert all(f"+{line}" in shown.splitlines() for line in lines)
    assert user.does("install") == ("", "make: the crontab has nothing to change\n")
    shown, _ = user.does("remove")
    assert user.crontab is None and f"-FRAMEMAKE={ROOT}" in shown.splitlines()
    assert user.does("remove") == ("", "make: the crontab has nothing to change\n")


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"\n\n",
        b"# mine\nMAILTO=me\n*/5 * * * * date +\\%F >> /tmp/x # % \\ $HOME 'quoted' \"too\"\n",
        b"A = ' spaces ' \n\t@reboot\tx\n\n\n",
        b"1 2 3 4 5 caf\xe9 \xff\x01 \r\n6 7 8 9 10 y\r\n",
        b"# about # >>> framemake >>> in a comment\n",
    ],
)
def test_everything_else_stays_byte_for_byte(user, before):
    user.spool.write_bytes(before)
    user.does("install")
    assert user.crontab.startswith(before) and user.crontab[len(before) :].startswith(FIRST.encode())
    # Lines that were added below stay below, and a new install changes nothing around.
    below = b"\n5 5 * * * below\n"
    user.spool.write_bytes(user.crontab + below)
    user.does("install", MAILTO="other")
    assert user.crontab.startswith(before + FIRST.encode()) and user.crontab.endswith(LAST.encode() + b"\n" + below)
    user.does("remove")
    assert user.crontab == before + below
    user.spool.write_bytes(before)
    user.does("install")
    user.does("remove")
    assert (user.crontab or b"") == before


def test_a_last_line_that_does_not_end_is_ended(user):
    user.spool.write_bytes(b"1 1 * * * a")
    user.does("install")
    assert user.crontab.startswith(b"1 1 * * * a\n" + FIRST.encode())
    user.does("remove")
    assert user.crontab == b"1 1 * * * a\n"
    user.spool.write_bytes(b"1 1 * * * a\n" + TEMPLATE + b"2 2 * * * b")
    user.does("remove")
    assert user.crontab == b"1 1 * * * a\n2 2 * * * b\n"


@pytest.mark.parametrize(
    "damaged",
    [
        f"{FIRST}\n1 1 * * * a\n",
        f"1 1 * * * a\n{LAST}\n",
        f"{LAST}\n1 1 * * * a\n{FIRST}\n",
        f"{FIRST}\n{LAST}\n{FIRST}\n{LAST}\n",
        f"{FIRST}\n{FIRST}\n{LAST}\n",
    ],
)
@pytest.mark.parametrize("what", ["install", "remove"])
def test_damaged_markers_are_refused(user, damaged, what):
    user.spool.write_text(damaged)
    shown, said = user.does(what, status=1)
    assert shown == "" and "are not one pair, mend them: 'crontab'" in said
    assert user.crontab == damaged.encode()


@pytest.mark.parametrize("dry", [{"DRY_RUN": "yes"}, {"DRY": "1"}, {"MAKEFLAGS": "n"}, {"MAKEFLAGS": "kn -- DAY=x"}])
def test_dry_it_shows_and_changes_nothing(user, dry):
    user.spool.write_bytes(b"1 1 * * * a\n")
    shown, said = user.does("install", **dry)
    assert f"+FRAMEMAKE={ROOT}" in shown.splitlines() and "nothing is changed" in said
    assert user.crontab == b"1 1 * * * a\n"
    user.does("install")
    there = user.crontab
    shown, _ = user.does("remove", **dry)
    assert f"-FRAMEMAKE={ROOT}" in shown.splitlines() and user.crontab == there


def test_a_dry_run_is_yes_or_no(user):
    assert "DRY_RUN must be one of yes no: 'maybe'" in user.does("install", status=1, DRY_RUN="maybe")[1]
    assert user.crontab is None
    user.does("install", DRY_RUN="no", DRY="0")
    assert user.crontab


def test_the_sites_settings_are_given_or_stay_as_they_are(user):
    user.does("install", MAILTO="ops@example.org", NIGHTLY="/etc/a site/n.conf")
    assert "\nMAILTO=ops@example.org\n" in user.block() and "\nNIGHTLY=/etc/a site/n.conf\n" in user.block()
    user.spool.write_text(user.crontab.decode().replace("ops@", "people@"))
    user.does("install", NIGHTLY="/etc/other.conf")
    assert "\nMAILTO=people@example.org\n" in user.block() and "\nNIGHTLY=/etc/other.conf\n" in user.block()
    # MAILTO= that was typed is no mail.
    user.does("install", MAILTO="", GIVEN="MAILTO")
    assert "\nMAILTO=\n" in user.block()
    before = user.crontab
    assert "must be one line" in user.does("install", status=1, MAILTO="a\n* * * * * evil")[1]
    assert "must be an absolute path" in user.does("install", status=1, NIGHTLY="n.conf")[1]
    assert user.crontab == before


def test_a_site_has_a_template_of_its_own(user, tmp_path):
    mine = tmp_path / "my crontab"
    mine.write_bytes(TEMPLATE.replace(b"50 0 * * *", b"30 3 * * *"))
    user.does("install", CRONTAB=mine)
    assert "\n30 3 * * *\t" in user.block()
    mine.write_text("* * * * * no markers\n")
    assert "must be the markers" in user.does("install", status=1, CRONTAB=mine)[1]
    assert "no such file" in user.does("install", status=1, CRONTAB=tmp_path / "none")[1]


def test_a_crontab_that_cannot_be_read_is_not_taken_for_an_empty_one(user, tmp_path):
    (tmp_path / "crontab").write_text("#!/bin/sh\necho 'you are not allowed to use this program' >&2\nexit 1\n")
    assert "cannot be read: you are not allowed" in user.does("install", status=1)[1]


@pytest.mark.parametrize(
    "arguments", [["install-cron", "-n"], ["install-cron", "DRY_RUN=yes"], ["install-cron", "DRY=1"], ["install-cron"]]
)
def test_make_has_targets_for_it(user, arguments):
    user.spool.write_bytes(b"1 1 * * * a\n")
    call = ["make", "-f", ROOT / "Makefile", *arguments, "MAILTO=me", "NIGHTLY=/etc/n.conf"]
    done = subprocess.run(call, env=user.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "+MAILTO=me" in done.stdout.splitlines()
    assert (user.crontab == b"1 1 * * * a\n") == (len(arguments) == 2)
    if len(arguments) == 1:
        again = subprocess.run(["make", "-f", ROOT / "Makefile", "install-cron"], env=user.env, check=False)
        assert again.returncode == 0 and "\nMAILTO=me\n" in user.block()
        subprocess.run(["make", "-f", ROOT / "Makefile", "remove-cron"], env=user.env, check=True)
        assert user.crontab == b"1 1 * * * a\n"


# --- others that do the same work --------------------------------------------------------


def named(user, tmp_path, *lines):
    """Numbers of the lines of a crontab that are told as doing the same work, by install and by a dry run."""
    nightly = tmp_path / "n.conf"
    nightly.write_text(
        "SOURCES=\"\n  rsync://me@ldas.example.org/ligo/second-trend password-file=/p\n'far:/v trend'\n\"\n"
    )
    user.spool.write_text("".join(f"{line}\n" for line in lines))
    found = []
    for dry in ("yes", "no"):
        env = {**user.env, "NIGHTLY": str(nightly), "DRY_RUN": dry}
        done = subprocess.run([ROOT / "cron/install", "install"], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        told = re.findall(
            NAMED,
            done.stderr,
            re.M,
        )
        assert all(lines[int(number) - 1] == line for number, line in told)
        found.append([int(number) for number, _ in told])
    assert found[0] == found[1]
    return found[0]


def test_lines_that_do_the_same_work_are_named_and_stay(user, tmp_path):
    """An original importer that went on beside ours was found by its harm alone."""
    script = tmp_path / "nightly.sh"
    script.write_text("#!/bin/sh\njava gov.fnal.elab.ligo.data.convert.ImportData /frames /tools /streams\n")
    lines = [
        "# 0 1 * * * ImportData /frames /tools /streams",
        "MAILTO=me",
        "0 1 * * * /opt/i2u2tools/bin/ImportData /frames /tools /streams",
        "0 2 * * * echo ImportDataless; date",
        f"0 3 * * * {script} >/dev/null",
        "5 0 * * * rsync -a rsync://ldas.example.org/ligo/second-trend/ /frames/second",
        "6 0 * * * /usr/bin/rsync -a ldas.example.org::ligo /frames",
        "7 0 * * * rsync -a /home/ backup.example.org:/home",
        "8 0 * * * rsync -a other.example.org::ligo/minute-trend /elsewhere",
        "9 0 * * * rsync -a far:/v /frames",
        "10 0 * * * /old/framemake/cron/nightly /etc/old.conf",
        "11 0 * * * import-streams /frames /streams",
    ]
    assert named(user, tmp_path, *lines) == [3, 4, 5, 6, 7, 9, 10, 11, 12]
    assert user.crontab.decode().startswith("".join(f"{line}\n" for line in lines))


def test_the_three_lines_of_an_e_lab_are_taken_over_and_given_back(user):
    """Its crontab as it is, with a line of somebody's that is none of these, and one that was commented out by hand."""
    lines = [
        b"# the e-Lab\n",
        b"0 1 * * * rsync -av --password-file=/home/.pw i2u2data@ldas.example.org::ligo/second-trend /data/frames\n",
        b"30 1 * * * rsync -av i2u2data@ldas.example.org::ligo/minute-trend /data/frames\n",
        b"0 3 * * *\t/home/i2u2/bin/ImportData /data/frames /usr /data/streams >> /var/log/caf\xe9 2>&1\n",
        b"@daily date +\\%F\n",
        b"#0 4 * * * ImportData /old",
    ]
    before = b"".join(lines)
    user.spool.write_bytes(before)
    shown, said = user.does("install", TAKE_OVER="yes", DRY_RUN="yes")
    assert "nothing is changed" in said and shown.count("+#framemake# ") == 3 and user.crontab == before
    assert user.does("install", TAKE_OVER="yes")[1] == "make: the crontab is changed\n"
    commented = [b"#framemake# " + line if at in (1, 2, 3) else line for at, line in enumerate(lines)]
    assert user.crontab.startswith(b"".join(commented) + b"\n" + FIRST.encode())
    # Once more there is nothing to do, nor is anything named.
    assert user.does("install")[1] == "make: the crontab has nothing to change\n"
    user.does("remove")
    assert user.crontab == before + b"\n"
    assert "TAKE_OVER must be one of yes no: 'maybe'" in user.does("install", status=1, TAKE_OVER="maybe")[1]


def test_our_own_lines_and_what_is_no_such_work_are_not_named(user, tmp_path):
    template = TEMPLATE.decode().splitlines()
    assert named(user, tmp_path, "0 * * * * date", *template, "1 1 * * * rsync -a /a b:/c") == []
    assert user.does("remove")[1] == "make: the crontab is changed\n"


# --- the real cron -----------------------------------------------------------------------


def test_a_checkout_that_cron_cannot_name_is_refused(user, tmp_path):
    """To cron a % in a command is the end of a line."""
    other = tmp_path / "100%" / "cron"
    shutil.copytree(ROOT / "cron", other)
    done = subprocess.run([other / "install", "install"], env=user.env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"make: cron cannot name a path with %: '{other.parent}'\n"
    assert user.crontab is None


@pytest.fixture
def cron_host(tmp_path):
    """(words before a command that run it on a host of its own for crontabs and mail, folder of the mails).

    The host is a mount namespace, which ends with the test: nobody's crontab is touched.  Its sendmail is a stand-in.
    """
    needs("cron", "crontab", "unshare", "nsenter")
    mails, programs, ready = (tmp_path / name for name in ("mails", "programs", "ready"))
    mails.mkdir()
    programs.mkdir()
    (programs / "sendmail").write_text(
        f'#!/bin/sh\n{{ echo "$*"; cat; }} >"{mails}/part" && mv "{mails}/part" "{mails}/$$"\n'
    )
    (programs / "sendmail").chmod(0o755)
    spool = "/var/spool/cron/crontabs"
    own = f"mount -t tmpfs -o mode=1730 none {spool} && chgrp crontab {spool} && mount -t tmpfs none /run"
    own += ' && mount -t overlay -o ro,lowerdir="$1":/usr/sbin none /usr/sbin'
    apart = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
    if os.geteuid() != 0 or subprocess.run([*apart, own, "sh", programs], check=False, capture_output=True).returncode:
        pytest.skip("cron is started by root, in a mount namespace")
    with daemon(*apart, f'{own} && : >"$0" && exec sleep 600', ready, programs) as holder:
        wait_until(ready.exists, "a host of its own")
        yield ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt"], mails


def test_a_real_cron_fires_it_and_mails_what_is_wrong(cron_host, tmp_path):
    """The template with its two times set to the next minute: up to a minute is waited."""
    there, mails = cron_host
    frames, logs, tree = tmp_path / "source" / "trend", tmp_path / "logs", tmp_path / "a tree"
    frames.mkdir(parents=True)
    (frames / "V-trend-1396742400-100.gwf").write_bytes(b"a frame")
    # The mirror is well, so its line is silent; the import finds a frame that is none.
    damaged = tree / "second-trend/LHO/H-T-1148000400-600.gwf"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no frame")
    settings = f"SOURCES='{frames}'\nFRAMES='{tree}'\nSTREAMS='{tmp_path}/streams'\nCHECK_STREAMS=no\nLOGS={logs}\n"
    (tmp_path / "nightly.conf").write_text(settings)

    def crontab(*arguments, **options):
        return subprocess.run([*there, "crontab", *arguments], check=True, capture_output=True, **options).stdout

    before = b"# a line of somebody's\n"
    crontab("-", input=before)
    soon = time.localtime(time.time() + 60 + (5 if time.localtime().tm_sec > 55 else 0))
    mine = tmp_path / "crontab"
    text, count = re.subn(rb"(?m)^50? 0 ", f"{soon.tm_min} {soon.tm_hour} ".encode(), TEMPLATE)
    text, more = re.subn(rb"(?m)^0 0 ", f"{soon.tm_min} {soon.tm_hour} ".encode(), text)
    assert count == more == 1
    mine.write_bytes(text)
    given = {"CRONTAB": mine, "NIGHTLY": tmp_path / "nightly.conf", "MAILTO": "ops@example.org"}
    env = {**os.environ, **{name: str(value) for name, value in given.items()}, "GIVEN": " ".join(given)}
    subprocess.run([*there, ROOT / "cron/install", "install"], env=env, check=True, stdout=subprocess.DEVNULL)
    assert crontab("-l").startswith(before) and FIRST.encode() in crontab("-l")
    # timeout: a cron that the end of the tests leaves behind would fire for ever.
    with daemon(*there, "timeout", "600", "cron", "-f", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        wait_until(lambda: len(list(logs.glob("nightly-*.log"))) == 2, "two runs", 75)
        wait_until(lambda: list(mails.glob("[0-9]*")), "a mail", 30)
        told = [path.read_text().splitlines()[-1].split(" ", 1)[1] for path in sorted(logs.glob("nightly-*.log"))]
    assert sorted(line.split(":")[1] for line in told) == [" ok", " warning"]
    (mail,) = (path.read_text() for path in mails.iterdir())
    head, _, body = mail.partition("\n\n")
    assert head.splitlines()[0].endswith(" ops@example.org") and "\nTo: ops@example.org\n" in head
    assert body.startswith("nightly: import: data is missing\n") and damaged.name in body
    assert (tree / "trend" / "V-trend-1396742400-100.gwf").read_bytes() == b"a frame"
    wait_until((logs / "nightly.json").exists, "the account")
    subprocess.run([*there, ROOT / "cron/install", "remove"], check=True, stdout=subprocess.DEVNULL)
    assert crontab("-l") == before


# --- systemd -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["framemake-mirror", "framemake-nightly"])
def test_systemd_takes_the_units(name, tmp_path):
    needs("systemd-analyze")
    units = [ROOT / "cron/systemd" / f"{name}.{kind}" for kind in ("service", "timer")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if name in line]
    assert done.returncode == 0 and told == [], done.stderr
    calendar = re.search(r"^OnCalendar=(.*)$", units[1].read_text(), re.MULTILINE)[1]
    shown = subprocess.run(["systemd-analyze", "calendar", calendar], capture_output=True, text=True, check=False)
    assert shown.returncode == 0 and calendar.endswith(" UTC")
    # And a slip in a unit would be seen.
    slip = tmp_path / units[1].name
    slip.write_text(units[1].read_text().replace(calendar, "each night"))
    shutil.copy(units[0], tmp_path)
    done = subprocess.run(["systemd-analyze", "verify", slip], capture_output=True, text=True, check=False)
    assert "each night" in done.stderr


def test_systemd_starts_what_cron_starts():
    crontab = TEMPLATE.decode()
    for name in ("mirror", "nightly"):
        service = (ROOT / "cron/systemd" / f"framemake-{name}.service").read_text()
        call = re.search(r"^ExecStart=/usr/bin/env bash (.*)$", service, re.MULTILINE)[1]
        words = [word.replace("{", "").replace("}", "") for word in call.split()]
        assert "\t" + " ".join(f'"{word}"' if "$" in word else word for word in words) + "\n" in crontab
