"""The body of a day file: packed chunks of its fast channels, written once, where the day file will have them.

A body lies beside the parts of a day that is read whole.  Its beginning is left free for what HDF5 tells of the chunks;
these lie behind it in the order of the plan's blocks, so who reads a block waits until those before it are packed.
Beside the body is a file that tells where each of its blocks ends.  The join writes the beginning and the end, and the
body, under another name, is the day file: see layout.writing.

A block that cannot be put there has its chunks in its part, and then the join writes a day file of its own.  So it does
where a day file has been made of the body already: what is finished is not touched.
"""

import contextlib
import hashlib
import math
import os
import time
from collections.abc import Callable, Iterator

import numpy as np

from .. import files, grid
from .plan import Plan

# A channel is fast if a block has so many bytes of its samples.
FAST = 1 << 20
# Bytes at the beginning for the file, a channel and a chunk of it, and their multiple: HDF5 2.0 was seen to take 3 kB,
# 1 kB and, for many chunks, 34.
_OF_FILE, _OF_CHANNEL, _OF_CHUNK, _ROUND = 1 << 16, 1 << 13, 64, 1 << 12
# What is told of the end of a block: nothing yet, or that there will be none.
_UNKNOWN, _NONE = 0, -1
_SIZE = 8
# Seconds between two looks at the end of the block before, and until it is asked whether anybody makes that.
_LOOK, _ASK = 0.002, 1.0


class Body:
    """The body that goes with a plan; one that goes on with an earlier result, or does not compress, has no members.

    path, name: of the file.  members: positions of the fast channels in the plan.  begin: where the first chunk lies.
    """

    def __init__(self, plan: Plan, folder: str):
        # Of a chunk that is not compressed HDF5 knows how long it is, and its room cannot be kept by a shorter one.
        self.members = set() if plan.keep or plan.compression == "none" else _fast(plan)
        blocks = [block.id for block in plan.blocks if not self.members.isdisjoint(block.channels)]
        digest = hashlib.sha256(" ".join(blocks).encode()).hexdigest()[:24]
        self.name = f"{digest}.body"
        self.path, self._ends = (os.path.join(folder, name) for name in (self.name, f"{digest}.ends"))
        self.begin = _beginning(plan, self.members)
        self._blocks, self._numbers = blocks, {block: number for number, block in enumerate(blocks)}

    def make(self) -> None:
        """Make its files, where they are not there yet."""
        for path in (self.path, self._ends) if self.members else ():
            with contextlib.suppress(PermissionError):  # another user's, of a run that was stopped: then there is none
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666))

    def place(self, block: str, is_made: Callable[[str], bool]) -> "Place | None":
        """The Place of a block; None if it has none.  is_made: whether anybody makes a block."""
        number = self._numbers.get(block)
        if number is None or not self._is_free():
            return None
        return Place(self, number, lambda: is_made(self._blocks[number - 1]))

    @contextlib.contextmanager
    def lent(self, out: str) -> Iterator[bool]:
        """Have it for oneself while a day file is made of it; gives False if that cannot be.

        out: the path of the day file, which the body must be able to have as well.
        """
        if not self.members or not _can_be(self._ends, out) or not self._is_free():
            yield False
            return
        with files.locked(self.path, wait=False) as mine:
            yield mine is not None and self._is_free()

    def _is_free(self):
        """Whether it is there for us, and no day file has been made of it: that is another name of it."""
        may = all(os.access(path, os.W_OK) for path in (self.path, self._ends))
        try:
            return may and os.stat(self.path).st_nlink == 1
        except FileNotFoundError:
            return False

    def end_of(self, number: int) -> int:
        """Where a block of the body ends, as far as that is told; the one before the first ends where it begins."""
        if number < 0:
            return self.begin
        with files.opened(self._ends, "rb", buffering=0) as ends:
            ends.seek(number * _SIZE)
            return int.from_bytes(ends.read(_SIZE), "little", signed=True)

    def tell(self, number: int, end: int) -> None:
        """Tell where a block ends."""
        with files.opened(self._ends, "r+b", buffering=0) as ends:
            ends.seek(number * _SIZE)
            ends.write(end.to_bytes(_SIZE, "little", signed=True))

    def write(self, packed: np.ndarray, at: int) -> None:
        """Write bytes."""
        with files.named(self.path):
            handle = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                files.write_at(handle, packed.data, at)
                if not files.boot():
                    os.fsync(handle)  # as parts are
            finally:
                os.close(handle)


class Place:
    """The place of a block in a body, for who makes it; a context, after which others know whether it has one."""

    def __init__(self, body: Body, number: int, is_made: Callable[[], bool]):
        self.body, self._number, self._is_made = body, number, is_made
        self._at: int | None = None
        self._known, self._over = body.end_of(number), False
        if self._known == _NONE:
            # That was of another run, which was stopped.
            self._known = _UNKNOWN
            body.tell(number, _UNKNOWN)

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._over and not self._known:
            self.body.tell(self._number, _NONE)

    def put(self, packed: np.ndarray, is_last: bool) -> int | None:
        """Write packed chunks, uint8, behind what is there; where they lie, or None if they cannot have a place.

        is_last: whether nothing more is put there.
        """
        if not self._has_begun() or self._at is None:
            return None
        at, end = self._at, self._at + len(packed)
        # Behind a block that was made before, others lie already.
        if self._known and end > self._known:
            return None
        self._at = end
        if is_last:
            self.end()
        self.body.write(packed, at)
        return at

    def end(self) -> None:
        """Nothing more is put there."""
        if self._has_begun() and self._at is not None:
            self._over = True
            if not self._known:
                self.body.tell(self._number, self._at)

    def _has_begun(self):
        """Wait until the block before has its place; False if it gets none."""
        since = time.monotonic()
        while self._at is None:
            end = self.body.end_of(self._number - 1)
            if end == _UNKNOWN and time.monotonic() > since + _ASK and not self._is_made():
                end = self.body.end_of(self._number - 1) or _NONE
            if end == _NONE:
                return False
            if end != _UNKNOWN:
                self._at = end
            else:
                time.sleep(_LOOK)
        return True


def _can_be(path, out):
    """Whether a file can have another name as well, beside `out`."""
    try:
        probe = files.beside(out)
        os.link(path, probe)
        os.unlink(probe)
    except OSError:
        return False
    return True


def _fast(plan):
    if max((channel.rate or 0 for channel in plan.channels), default=0) * plan.window.duration * 8 < FAST:
        return set()
    spans: dict[int, float] = {}
    for block in plan.blocks:
        for at in block.channels:
            spans[at] = max(spans.get(at, 0.0), block.end - block.start)
    size = lambda at: np.dtype(plan.channels[at].dtype or "float32").itemsize  # noqa: E731
    return {at for at, span in spans.items() if (plan.channels[at].rate or 0) * span * size(at) >= FAST}


def _beginning(plan, members):
    size = _OF_FILE
    for rate in (plan.channels[at].rate for at in members):
        chunk = grid.cut(rate, plan.increment, plan.window.duration).chunk
        size += _OF_CHANNEL + _OF_CHUNK * math.ceil(grid.length(plan.window.duration, rate) / chunk)
    return math.ceil(size / _ROUND) * _ROUND
