"""The keepers of frames: each reason why a frame stays, one at a time, and that without one it goes."""

import contextlib
import datetime
import functools
import os
import shutil

import numpy as np
import pytest
from framemake import files, gps, gwf
from framemake.day import check
from framemake.day.folder import FAILED, Folder
from framemake.frames import catalog, lists
from framemake.gwf.write import Signal, write
from framemake.host import retention
from framemake.host.kept_days import DayKeeper
from framemake.host.kept_streams import StreamKeeper
from framemake.host.retention import Reason
from framemake.streams import store
from framemake.streams.intake import importer, writing
from support import streams as made
from support.commands import DAY, START
from support.inside import DaySite, ReadAlone
from support.streams import HOUR, NIGHT

QUARTER = 21600
TODAY = datetime.date(2024, 5, 1)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A day of four frames of six hours, of a channel at 1/60 Hz, done as make has done it."""
    site = DaySite(tmp_path_factory.mktemp("built"))
    site.want("V1:A")
    for number in range(4):
        data = np.arange(QUARTER // 60, dtype="f4") + number
        site.frame(number * QUARTER, QUARTER, [Signal("V1:A", data, 1 / 60, "V")])
    site.build(86400, increment=600)
    return site


@pytest.fixture
def site(built, tmp_path, monkeypatch):
    """Another such day, of the same frames; the check by a second reader takes seconds, and has tests of its own."""
    site = DaySite(tmp_path)
    site.want("V1:A")
    for path in sorted(built.frames.iterdir()):
        shutil.copy2(path, site.frames)
        site.list(site.frames / path.name, *catalog.span_of_name(path.name))
    site.build(86400, increment=600)
    site.wrong = []
    monkeypatch.setattr(check, "differences", lambda *args, **more: iter(site.wrong))
    return site


def frame(site, number):
    return site.frames / f"V-test-{START + number * QUARTER}-{QUARTER}.gwf"


def kept(site, keeper=None, remove=False):
    """{number of a frame: why it is Kept, None if it goes}."""
    keeper = keeper or DayKeeper(str(site.out), "V1trend")
    found = retention.prune(str(site.frames), [keeper], 1, remove, TODAY)
    return {int(catalog.span_of_name(path)[0] - START) // QUARTER: why for path, why in found}


def only(found, number, reason, words):
    """Of all frames this one stays, for this reason; without a number all do."""
    for at, why in found.items():
        if number in (None, at):
            assert why and why.reason is reason and words in why.words, (at, why)
        else:
            assert why is None, (at, why)
    return True


def test_what_is_done_and_right_may_go_and_the_day_knows_what_went(site):
    assert kept(site) == dict.fromkeys(range(4)) and frame(site, 0).exists()
    assert kept(site, remove=True) == dict.fromkeys(range(4))
    assert not any(frame(site, number).exists() for number in range(4))
    gone = Folder.of(str(site.out), "V1trend", DAY).gone()
    assert [each.path for each in gone] == [str(frame(site, number)) for number in range(4)]


def test_a_frame_that_changed_since_stays(site):
    os.utime(frame(site, 1), (1, 1))
    assert only(kept(site), 1, Reason.NOT_USED, "has changed since")
    shutil.copy2(frame(site, 0), frame(site, 2))
    assert {at for at, why in kept(site).items() if why} == {1, 2}


def test_a_frame_that_no_day_was_made_from_is_unknown(site):
    path = site.frames / f"V-other-{START + QUARTER}-{QUARTER}.gwf"
    shutil.copy2(frame(site, 1), path)
    found = dict(retention.prune(str(site.frames), [DayKeeper(str(site.out), "V1trend")], 1, False, TODAY))
    assert found.pop(str(path)).reason is Reason.UNKNOWN and set(found.values()) == {None}


@pytest.mark.parametrize("remove", [True, False])
def test_a_day_that_is_being_built_keeps_its_frames(site, remove):
    folder = Folder.of(str(site.out), "V1trend", DAY)
    os.makedirs(folder.work, exist_ok=True)
    with folder.hold(0):
        assert only(kept(site, remove=remove), None, Reason.UNFINISHED, "is being built")
    assert kept(site) == dict.fromkeys(range(4))


@pytest.mark.parametrize("status", [FAILED, "queued", None])
def test_a_day_that_is_not_done_keeps_its_frames(site, status):
    Folder.of(str(site.out), "V1trend", DAY).note(status=status)
    assert only(kept(site), None, Reason.UNFINISHED, str(status or "not there"))


def test_a_day_whose_file_is_gone_or_damaged_keeps_its_frames(site):
    raw = site.h5.read_bytes()
    site.h5.write_bytes(raw[:-100])
    assert only(kept(site), None, Reason.WRONG, "")
    site.h5.unlink()
    assert only(kept(site), None, Reason.UNFINISHED, "is gone")


def test_a_part_of_a_day_keeps_its_frames(site):
    site.parts.joinpath("plan.json").unlink()
    site.build(86400 - 600, increment=600, shrink=True)
    assert only(kept(site), None, Reason.UNFINISHED, "only a part of")


def test_a_day_that_differs_from_its_frames_keeps_them(site):
    site.wrong.append(("V1:A", START, START + 60, "differs from the frame: 1 samples"))
    assert only(kept(site), None, Reason.WRONG, "differs from its frames")
    site.wrong.clear()
    assert kept(site) == dict.fromkeys(range(4))


class Broken(ReadAlone):
    """A frame file of which one channel fails."""

    def __init__(self, file, error):
        super().__init__(file)
        self._error = error

    def read(self, *_):
        raise self._error()


@pytest.mark.parametrize(
    ("error", "number", "reason", "words"),
    [
        (functools.partial(OSError, 5, "Input/output error"), None, Reason.UNFINISHED, "waits for a frame"),
        (functools.partial(gwf.Damaged, "damaged: checksum does not match"), 2, Reason.NOT_USED, "could not be read"),
    ],
)
def test_a_frame_that_could_not_be_read_stays_and_one_that_could_not_be_had_keeps_the_day(
    site, monkeypatch, error, number, reason, words
):
    real = gwf.open_file
    with monkeypatch.context() as failing:
        failing.setattr(
            gwf, "open_file", lambda path: Broken(real(path), error) if str(path) == str(frame(site, 2)) else real(path)
        )
        shutil.rmtree(site.parts)
        site.build(86400, "--retries", "0", increment=600, shrink=True)
    assert only(kept(site), number, reason, words)


def test_a_frame_that_the_day_of_another_spec_was_made_from_stays(site):
    other = Folder.of(str(site.out), "V1raw", DAY)
    os.makedirs(other.work)
    window = gps.day_window(DAY)
    listed = [each for each in lists.list_frames(str(site.ffl), window).frames if each.path == str(frame(site, 3))]
    files.write(other.frames, catalog.table(listed))
    assert only(kept(site), 3, Reason.NOT_USED, "another folder")


def test_two_ways_to_one_file_are_one(site, tmp_path):
    (tmp_path / "link").symlink_to(site.frames)
    found = retention.prune(str(tmp_path / "link"), [DayKeeper(str(site.out), "V1trend")], 1, False, TODAY)
    assert {why for _, why in found} == {None}


def test_a_frame_of_before_the_first_day_is_of_no_use_and_one_of_a_day_between_waits(site):
    for off in (-3, 3):
        start = START + off * 86400
        write(site.frames / f"V-test-{start}-60.gwf", [(start, 60, [Signal("V1:A", np.ones(60, "f4"), 1.0)])])
    found = retention.prune(str(site.frames), [DayKeeper(str(site.out), "V1trend")], 1, False, TODAY)
    reasons = [why and why.reason for _, why in found]
    assert reasons == [Reason.NOT_USED, None, None, None, None, Reason.UNFINISHED]


# --- streams ---------------------------------------------------------------------------------

RAIN = "H0:PEM-EX_RAIN"
LATER = datetime.date(2016, 6, 30)


@pytest.fixture
def streams(tmp_path):
    """(tree, streams, paths) of two hours that have been imported."""
    root = tmp_path / "frames"
    paths = [made.frame(root, NIGHT + hour * HOUR, {RAIN: "i4"}) for hour in range(2)]
    made.imported(root, tmp_path / "streams")
    return root, tmp_path / "streams", paths


def of_streams(root, folder, remove=False):
    """{name: why it is Kept, None if it goes}."""
    keeper = StreamKeeper(str(folder), str(root))
    found = retention.prune(str(root), [keeper], 1, remove, LATER)
    return {os.path.basename(path): why for path, why in found}


def test_what_is_in_the_streams_may_go(streams):
    root, folder, paths = streams
    assert of_streams(root, folder) == {path.name: None for path in paths}
    stray = root / "minute-trend" / "H-M-1148000400-3600.gwf"
    shutil.copy2(paths[0], stray)  # not where the import looks: no matter of the streams
    assert set(of_streams(root, folder, remove=True)) == {path.name for path in paths}
    assert stray.exists() and not any(path.exists() for path in paths)


def test_what_is_not_in_the_streams_stays(streams):
    root, folder, paths = streams
    late = made.frame(root, NIGHT + 2 * HOUR, {RAIN: "i4"})
    found = of_streams(root, folder, remove=True)
    assert found[late.name].reason is Reason.UNFINISHED and found[late.name].words == "not in the streams"
    assert late.exists() and not paths[0].exists()


def test_a_frame_that_was_replaced_since_its_import_stays(streams):
    root, folder, paths = streams
    os.utime(paths[1], (1, 1))
    found = of_streams(root, folder)
    assert found[paths[0].name] is None
    assert (found[paths[1].name].reason, found[paths[1].name].words[:17]) == (Reason.UNFINISHED, "has changed since")


def test_a_frame_that_the_import_could_not_use_stays(streams):
    root, folder, _ = streams
    bad = made.path_of(root, NIGHT + 2 * HOUR)
    bad.write_bytes(b"no frame")
    assert importer.run(str(root), str(folder)).faulty == [bad.name]
    assert of_streams(root, folder)[bad.name].words == "could not be used for the streams"


def test_a_frame_whose_span_a_stream_does_not_have_stays(streams):
    root, folder, paths = streams
    more = made.frame(root, NIGHT, {RAIN: "i4", "H0:PEM-EX_SEISX": "f4"})
    state = store.load(str(folder))
    assert state and more == paths[0]
    os.utime(more, ns=(writing.stamps(str(folder))[more.name].mtime,) * 2)
    keeper = StreamKeeper(str(folder), str(root))
    keeper._stamps.clear()  # as of an import of long ago
    (first, _) = (why for _, why in retention.prune(str(root), [keeper], 1, False, LATER))
    assert first.reason is Reason.WRONG and "its span is not in 1 streams: 'H0:PEM-EX_SEISX'" in first.words


def test_an_import_at_work_keeps_all_frames_and_one_in_between_is_seen(streams):
    root, folder, paths = streams
    with writing.locked(str(folder), wait=False):
        found = of_streams(root, folder, remove=True)
    assert {why.words for why in found.values()} == {"an import of the streams is at work"}
    keeper = StreamKeeper(str(folder), str(root))
    late = made.frame(root, NIGHT + 2 * HOUR, {RAIN: "i4"})
    keeper._paths.add(str(late))
    made.imported(root, folder)
    with contextlib.ExitStack() as held:
        keeper.hold([], held, True)
        size, moment = late.stat().st_size, late.stat().st_mtime_ns
        assert keeper.objection(catalog.Frame(str(late), NIGHT + 2 * HOUR, HOUR, size, moment), []) is None
    assert paths[0].exists()
