"""Commands of bin/ that run in the process of the test: a tenth of the time that a process of their own takes.

Only for what a command does with files and says in words: what it does to its process (signals, pipes, a kill) is seen
by support.commands alone.
"""

import contextlib
import gc
import io
import os
import runpy
import shutil
import signal
import sys
import tempfile
from typing import NamedTuple
from unittest import mock

from support.commands import BIN
from support.sites import START, Site

__all__ = ["DaySite", "Done", "ReadAlone", "inside"]


class Done(NamedTuple):
    """What a command came to, with the names that subprocess gives them."""

    returncode: int
    stdout: str
    stderr: str


def inside(name, *args, check=True, env=None, input=""):
    """The Done of a command of bin/; unless check is off it must succeed, whatever it says.

    env: variables beside those of this process.
    """
    words, told = [str(BIN / name), *map(str, args)], io.StringIO()
    before, limits = signal.getsignal(signal.SIGTERM), gc.get_threshold()
    with (
        # A file, as some commands write to its handle.
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogateescape") as out,
        mock.patch.object(sys, "argv", words),
        mock.patch.object(sys, "stdin", io.StringIO(input)),
        mock.patch.dict(os.environ, env or {}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(told),
    ):
        try:
            runpy.run_path(words[0], run_name="__main__")
            status = 0
        except SystemExit as ended:
            status = ended.code or 0
        finally:
            signal.signal(signal.SIGTERM, before)
            gc.set_threshold(*limits)
        out.flush()
        out.seek(0)
        said = out.read()
    assert not check or status == 0, told.getvalue()
    assert "Traceback" not in told.getvalue()
    return Done(status, said, told.getvalue())


class DaySite(Site):
    """A Site whose days are made in this process."""

    @property
    def parts(self):
        return self.folder / "parts"

    def extract(self, seconds=360, *options, keep=None, increment=60, start=START, shrink=False, check=True):
        """Leave the parts of the day's first seconds, as a run that is killed before it joins them does."""
        span = ("--start", start, "--end", start + seconds, "--increment", increment)
        more = (*(("--keep", keep) if keep else ()), *(("--shrink",) if shrink else ()))
        return inside(
            "extract-increment", self.ffl, self.channels, *span, "--parts", self.parts, *more, *options, check=check
        )

    def join(self, *options, check=True, shrink=False):
        """Make the day file of the parts, and tell what it holds; pad-merge's Done."""
        self.h5.parent.mkdir(parents=True, exist_ok=True)
        given = ("--out", self.h5, "--requested", self.channels, *(("--shrink",) if shrink else ()), *options)
        done = inside("pad-merge", self.parts, *given, check=check)
        if done.returncode == 0:
            inside("summarize", self.h5)
        return done

    def build(self, seconds=360, *options, check=True, shrink=False, **more):
        """Build the day's first seconds; the Done of what failed, or of pad-merge.  options and more: of extract."""
        done = self.extract(seconds, *options, check=check, shrink=shrink, **more)
        return done if done.returncode else self.join(check=check, shrink=shrink)

    def rebuild(self, seconds=360, *options, **more):
        """Build again as make does: on what there is, from parts of this run alone."""
        shutil.rmtree(self.parts, ignore_errors=True)
        return self.build(seconds, *options, keep=self.h5, **more)

    def fresh(self, folder, seconds=360, *options, **more):
        """The same built from nothing elsewhere: another DaySite, of the same frames and lists."""
        other = DaySite(folder)
        other.ffl, other.channels = self.ffl, self.channels
        other.build(seconds, *options, **more)
        return other


class ReadAlone:
    """A frame file around another that takes no channels together: each is read by itself, as a test has `read` do."""

    def __init__(self, file):
        self._file = file

    def __getattr__(self, name):
        return getattr(self._file, name)

    def take(self, index, wanted, spots=()):
        wanted.leave()
