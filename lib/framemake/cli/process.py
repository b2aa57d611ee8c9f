"""The process of a command: its interpreter, its libraries, the signals that end it, its standard input and output."""

import functools
import gc
import io
import os
import signal
import sys

from .. import files
from ..version import ROOT

# What an error of standard output names.
_OUTPUT = "standard output"
# The signals that are to end this process.
_came: list[int] = []
# Seconds after which one of them comes again that could not end it.
_AGAIN = 0.01


def use_environment():
    """Go on under the project's own Python, so that a command works by hand with nothing activated.

    That is $VENV if it is set (empty: whatever python3 is on PATH), else .venv beside the Makefile.
    """
    if os.path.dirname(os.path.realpath(sys.argv[0])) != os.path.join(ROOT, "bin"):
        return
    venv = os.environ.get("VENV", os.path.join(ROOT, ".venv"))
    python = os.path.join(venv, "bin", "python")
    if venv and os.path.exists(python) and os.path.realpath(sys.prefix) != os.path.realpath(venv):
        os.execv(python, [python, *sys.orig_argv[1:]])


def settle_libraries():
    """Set what libraries read from the environment when they are loaded, which a command does after this."""
    # OpenBLAS starts a thread a core when it is loaded, which costs time and is never used here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # HDF5's own locks fail on some network file systems; what is written here is written aside and renamed.
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
    # LAL prints a report of its own on each error; the message of the command is enough.
    os.environ.setdefault("LAL_DEBUG_LEVEL", "0")
    # Pictures are drawn into files, whatever window a user has chosen for matplotlib.
    os.environ["MPLBACKEND"] = "agg"


def begin() -> None:
    """Make ready what main() of a command finds."""
    # Many small objects live until a part is written; the garbage collector would look through them in vain.
    gc.set_threshold(200_000, 20, 20)
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")
    _name_streams()
    sys.unraisablehook = _dropped
    signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    # make has it wait for a command that begins: see lib/make/given.mk.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _end(number, frame):
    _came.append(number)
    if _is_called_by_hdf5(frame):
        _come_again()
    else:
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


def _is_called_by_hdf5(frame):
    """Whether what runs is a file that HDF5 writes, which makes an error of its own of what is raised there."""
    while frame and not isinstance(frame.f_locals.get("self"), files.Sink):
        frame = frame.f_back
    return frame is not None


def _come_again():
    signal.signal(signal.SIGALRM, lambda _, frame: _end(_came[0], frame))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN)


def _dropped(what):
    """Hear of an exception that Python drops, as it came in what nobody called: the end of an object, say.

    If it is the one that is to end us, it is raised again a moment later, when something else runs.
    """
    if _came and isinstance(what.exc_value, KeyboardInterrupt | SystemExit):
        _come_again()
    else:
        sys.__unraisablehook__(what)


def end_if_told() -> None:
    """End as the signal wants that came and has not ended us yet, if one did."""
    if _came:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.exit(128 + _came[0])


def close_output() -> None:
    """Let what is still to be written to standard output go nowhere: Python would try as it ends, and fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_of_output(error: Exception) -> bool:
    """Whether an error is one of standard output."""
    return isinstance(error, OSError) and error.filename == _OUTPUT


def _name_streams():
    """Have an error of standard input or output name it, whoever reads or writes there."""
    reads = ("read", "readall", "readinto")
    for stream, name, calls in ((sys.stdin, "standard input", reads), (sys.stdout, _OUTPUT, ("write",))):
        buffer = getattr(stream, "buffer", None)
        # With PYTHONUNBUFFERED there is nothing in between.
        raw = getattr(buffer, "raw", buffer)
        if isinstance(raw, io.FileIO):
            vars(raw).update({call: _naming(getattr(raw, call), name) for call in calls})


def _naming(call, name):
    @functools.wraps(call)
    def named(*args):
        try:
            return call(*args)
        except OSError as error:
            error.filename = name
            raise

    return named
