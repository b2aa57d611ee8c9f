"""What each day of a range needs, and what an attempt at a day comes to, for each state that its folder can be in."""

import os

import pytest
from framemake import child, files
from framemake.day import attempt
from framemake.day import folder as day_folder
from framemake.day.folder import COMPLETED, FAILED, INTERRUPTED, NO_FRAME, RUNNING, Folder
from framemake.days import plan
from framemake.errors import BadInput
from framemake.frames import catalog, lists
from support.commands import START, stub
from support.inside import DaySite
from support.sites import signal

DAYS = ["2024-04-10", "2024-04-11", "2024-04-12"]
SIX_HOURS = 21600


class Range:
    """Three days of stubs of two sources, finished as make leaves them: that is the state of their folders alone."""

    def __init__(self, folder):
        self.frames, self.out, self.channels = folder / "frames", folder / "out", folder / "channels.txt"
        for number in range(12):
            for source in ("V-a", "V-b"):
                start = START + number * SIX_HOURS
                stub(self.frames / source, start, SIX_HOURS, f"{source}-{start}-{SIX_HOURS}.gwf")
        self.channels.write_text("V1:A\n")
        self.variables = {"OUT": str(self.out), "CHANNELS": str(self.channels), "SPEC": "V1trend", "INCREMENT": "600",
                          "COMPRESSION": "lzf"}  # fmt: skip

    def inputs(self, **more):
        return plan.RangeInputs.of({**self.variables, **more})

    def folder(self, day):
        return Folder.of(str(self.out), "V1trend", day)

    def plan(self, write=False, **more):
        """{day: why} of those of which there is something to say."""
        planned, _ = plan.plan(str(self.frames), DAYS, self.inputs(**more), write)
        return {day.day: day.why for day in planned if day.why}

    def finish(self, day):
        """The folder of a day as it is when it is done."""
        folder = self.folder(day)
        os.makedirs(folder.work, exist_ok=True)
        request = attempt.Request.of({**self.variables, "LISTED": "yes"})
        plan.plan(str(self.frames), [day], self.inputs(), True)
        attempt.prepare(folder, day, request, False, "2024-05-01T00:00:00Z")
        for age, path in enumerate([path for path, _ in folder.inputs] + [folder.h5, folder.summary]):
            if not os.path.exists(path):
                files.write(path, "x")
            os.utime(path, ns=(10**18 + age, 10**18 + age))
        folder.note(status=COMPLETED)
        return folder

    def one(self, number, source="V-a"):
        start = START + number * SIX_HOURS
        return self.frames / source / f"{source}-{start}-{SIX_HOURS}.gwf"


@pytest.fixture
def days(tmp_path):
    days = Range(tmp_path)
    for day in DAYS:
        days.finish(day)
    return days


def older(path, by=10**9):
    moment = os.stat(path).st_mtime_ns - by
    os.utime(path, ns=(moment, moment))


def test_days_with_nothing_new_have_nothing_to_do(days):
    assert days.plan() == {}
    assert days.plan(write=True) == {}


CHANGES = {
    "frames changed": lambda days, folder: os.utime(days.one(5), (1, 1)),
    "was stopped": lambda days, folder: older(folder.h5),
    "no summary": lambda days, folder: os.unlink(folder.summary),
    "summary is older": lambda days, folder: older(folder.summary),
    "failed before": lambda days, folder: folder.note(status=FAILED, error="disk full"),
    "new": lambda days, folder: os.unlink(folder.h5),
    "a frame could not be had": lambda days, folder: files.write(folder.transient, "/a\n"),
}


@pytest.mark.parametrize("why", CHANGES)
def test_a_day_is_due_for_what_changed_of_it_and_no_other_is(days, why):
    CHANGES[why](days, days.folder(DAYS[1]))
    assert days.plan() == {DAYS[1]: why}


@pytest.mark.parametrize("status", [RUNNING, "queued", "", None])
def test_a_day_whose_state_says_that_it_is_not_done_was_stopped(days, status):
    days.folder(DAYS[1]).note(status=status)
    assert days.plan() == {DAYS[1]: plan.STOPPED}


def test_another_list_is_for_all_days_and_other_settings_leave_what_is_finished(days):
    days.channels.write_text("V1:B\n")
    assert days.plan() == dict.fromkeys(DAYS, "channel list changed")
    assert days.plan(RESUME="no") == dict.fromkeys(DAYS, "asked to")


def test_before_a_recent_day_only_what_is_not_done_or_a_frame_came_for_is_due(days):
    days.channels.write_text("V1:B\n")  # what is new of all days alike
    recent = {"RECENT": DAYS[2]}
    assert days.plan(**recent) == {DAYS[2]: "channel list changed"}
    files.write(days.folder(DAYS[0]).transient, "/a\n")
    os.utime(days.one(5), (1, 1))
    assert days.plan(**recent) == dict.fromkeys(DAYS, "channel list changed") | {DAYS[1]: "frames changed"}
    days.one(5).unlink()
    os.unlink(days.folder(DAYS[0]).transient)
    assert days.plan(**recent) == {DAYS[2]: "channel list changed"}, "a frame that went is no frame that came"


@pytest.mark.parametrize("how", ["unlinked", "moved"])
def test_a_source_that_is_away_as_a_whole_is_one_fault_and_changes_no_day(days, tmp_path, how):
    if how == "moved":
        (days.frames / "V-a").rename(tmp_path / "away")
    else:
        for number in range(12):
            days.one(number).unlink()
    assert days.plan() == dict.fromkeys(DAYS, plan.VANISHED)
    assert "is their disk there?" in plan.vanished(plan.plan(str(days.frames), DAYS, days.inputs(), False)[0], "x")


def test_of_a_source_that_is_there_for_other_days_the_frames_of_one_day_went(days):
    for number in (4, 5, 6, 7):
        days.one(number).unlink()
    assert days.plan() == {DAYS[1]: "frames changed"}


def test_a_day_all_of_whose_frames_are_gone_stays_and_one_that_never_had_any_fails(days):
    for number in (8, 9, 10, 11):
        for source in ("V-a", "V-b"):
            days.one(number, source).unlink()
    assert days.plan() == {DAYS[2]: plan.GONE}
    os.unlink(days.folder(DAYS[2]).h5)
    assert days.plan(write=True) == {DAYS[2]: plan.NO_FRAME}
    state = days.folder(DAYS[2]).state()
    assert (state["status"], state["reason"]) == (FAILED, NO_FRAME)


def test_a_day_of_which_frames_were_pruned_is_left_until_they_are_back(days):
    folder = days.folder(DAYS[1])
    gone = [frame for frame in lists.named(folder.frames).frames if "V-a" in frame.path][:1]
    files.write(folder.pruned, catalog.table(gone))
    content, moment = days.one(4).read_bytes(), os.stat(days.one(4)).st_mtime_ns
    days.one(4).unlink()
    assert days.plan() == {}
    days.channels.write_text("V1:B\n")
    assert days.plan()[DAYS[1]] == plan.CLOSED
    days.channels.write_text("V1:A\n")
    os.unlink(folder.summary)
    assert days.plan() == {DAYS[1]: "no summary"}
    days.one(4).write_bytes(content)
    os.utime(days.one(4), ns=(moment, moment))
    assert folder.gone() == [] and days.plan() == {DAYS[1]: "no summary"}


def test_days_that_are_due_are_queued_with_their_frames(days):
    os.utime(days.one(5), (1, 1))
    days.plan(write=True)
    folder = days.folder(DAYS[1])
    assert folder.state()["status"] == "queued"
    listed = {frame.path: frame.mtime for frame in lists.named(folder.listed).frames}
    assert listed[str(days.one(5))] == 10**9 and len(listed) == 8
    assert days.folder(DAYS[0]).state()["status"] == COMPLETED


# --- one attempt -----------------------------------------------------------------------------


@pytest.fixture
def tried(days, monkeypatch):
    """A function: try a day with a make that does something to its folder; (Outcome, what was said, state)."""

    # A handle that nothing else in this process has: pytest may have the 9th.
    monkeypatch.setattr(attempt, "LOCK_HANDLE", 250)

    def tries(does=lambda folder: 0, day=DAYS[1], **more):
        folder, said, ran = days.folder(day), [], []

        def run(self, words, environ):
            ran.append(environ)
            return does(folder)

        monkeypatch.setattr(child.Runner, "run", run)
        request = attempt.Request.of({**days.variables, "LISTED": "", "LOCK_WAIT": "0.1", **more})
        outcome = attempt.build(folder, day, request, {}, said.append)
        return outcome, said, folder.state(), ran

    return tries


def test_a_day_that_make_has_done_is_done_and_its_parts_are_gone(days, tried):
    folder = days.folder(DAYS[1])
    os.makedirs(folder.parts)
    outcome, said, _, ran = tried()
    assert outcome is attempt.Outcome.DONE and not said and not os.path.exists(folder.parts)
    assert ran[0]["KEEP"] == os.path.basename(folder.h5) and ran[0]["CLOSED"] == ""
    assert tried(RESUME="no")[3][0]["KEEP"] == ""


def test_a_day_that_keeps_channels_is_told_and_not_done_as_asked(days, tried):
    days.folder(DAYS[1]).note(kept_channels=2)
    outcome, said, _, _ = tried()
    assert outcome is attempt.Outcome.STANDS and "keeps 2 channels that are not in the list" in said[0]


def killed(folder):
    folder.note_running("2024-05-02T00:00:00Z")
    return 137


def refused(folder):
    folder.note(status=FAILED, error="pad-merge: disk full")
    return 2


def frameless(folder):
    folder.note(status=FAILED, error="list-frames: no frame", reason=NO_FRAME)
    return 2


def would_lose(folder):
    folder.note_stands("would lose 5 s")
    return 2


def test_who_was_killed_was_interrupted_and_who_said_why_has_said_it(tried):
    outcome, _, state, _ = tried(killed)
    assert (outcome, state["status"], state["error"]) == (attempt.Outcome.NOT_DONE, FAILED, INTERRUPTED)
    outcome, _, state, _ = tried(refused)
    assert (outcome, state["error"]) == (attempt.Outcome.NOT_DONE, "pad-merge: disk full")


def test_a_finished_day_without_frames_stays_finished_and_one_that_never_was_fails(days, tried):
    outcome, said, state, _ = tried(frameless)
    assert (outcome, state["status"]) == (attempt.Outcome.STANDS, COMPLETED) and "all its frames are gone" in said[0]
    os.unlink(days.folder(DAYS[1]).h5)
    outcome, _, state, _ = tried(frameless)
    assert (outcome, state["status"], state["reason"]) == (attempt.Outcome.NOT_DONE, FAILED, NO_FRAME)


def test_a_day_that_would_lose_something_stands(tried):
    outcome, _, state, _ = tried(would_lose)
    assert (outcome, state["status"], state["left_out"]) == (attempt.Outcome.STANDS, COMPLETED, "would lose 5 s")


def test_a_day_of_which_frames_were_pruned_cannot_be_made_anew(days, tried):
    folder = days.folder(DAYS[1])
    files.write(
        folder.pruned, catalog.table(f for f in lists.named(folder.frames).frames if f.path == str(days.one(4)))
    )
    days.one(4).unlink()
    outcome, said, _, ran = tried()
    assert outcome is attempt.Outcome.DONE and "stays as it is, frames of it were pruned" in said[0]
    assert ran[0]["CLOSED"] == "yes"
    with pytest.raises(BadInput, match="cannot be made anew, frames of it were pruned"):
        tried(RESUME="no")
    os.unlink(folder.h5)
    with pytest.raises(BadInput, match="cannot be made anew"):
        tried()


def test_frames_that_could_not_be_had_are_listed_anew(days, tried):
    folder = days.folder(DAYS[1])
    there = []
    see = lambda folder: there.append(os.path.exists(folder.frames)) or 0  # noqa: E731
    tried(see)
    files.write(folder.transient, "/a\n")
    tried(see)
    files.write(folder.transient, "")
    files.write(folder.frames, "x")
    tried(see)
    assert there == [True, False, True]


def test_a_day_that_another_make_holds_is_waited_for_and_then_left(days, tried):
    with days.folder(DAYS[1]).hold(0), pytest.raises(BadInput, match=r"gave up waiting after 0\.1 s"):
        tried()
    assert days.folder(DAYS[1]).state()["status"] == COMPLETED


def test_a_state_that_is_damaged_is_none(days):
    folder = days.folder(DAYS[1])
    for text in ("", "{", "[1]", '"x"', "null", "\udc80"):
        with open(folder.state_path, "w", errors="surrogateescape") as out:
            out.write(text)
        assert folder.state() == {} and not folder.is_finished()
    assert days.plan() == {DAYS[1]: plan.STOPPED}
    os.unlink(folder.state_path)
    files.write(folder.settings, "another\n")
    assert not folder.is_made_with("V1trend 600 lzf") and day_folder.shape_of(days.variables) == "V1trend 600 lzf"


def test_a_day_is_finished_only_with_its_file(days):
    folder = days.folder(DAYS[1])
    assert folder.is_finished()
    os.unlink(folder.h5)
    assert not folder.is_finished()


def test_a_finished_day_stands_when_less_or_something_else_is_asked_for(tmp_path):
    """A longer span makes it longer; a shorter one, another increment or compression would lose what is there."""
    site = DaySite(tmp_path)
    site.want("V1:A")
    site.frame(0, 1200, [signal(count=1200)])
    site.build(600, increment=60)
    folder = Folder.of(str(site.out), "V1trend", DAYS[0])
    os.makedirs(folder.work, exist_ok=True)
    files.write(folder.settings, "as it was made\n")
    given = {"CHANNELS": str(site.channels), "SPEC": "V1trend", "INCREMENT": "60", "COMPRESSION": "lzf"}

    def why(**more):
        return attempt.stands(folder, DAYS[0], attempt.Request.of({**given, **more}))

    assert why(MINUTES="10") == why(MINUTES="20") == why() == ""
    assert "60 s of it are not in the span" in why(MINUTES="9") and "SHRINK=yes" in why(MINUTES="9")
    assert "120 s of it are not" in why(START=str(START + 120), END=str(START + 86400))
    assert why(START=str(START - 60), END=str(START + 600)) == ""
    assert "INCREMENT=60" in why(INCREMENT="600") and "COMPRESSION=lzf" in why(COMPRESSION="gzip")
    assert why(INCREMENT="600", SHRINK="yes") == why(MINUTES="1", SHRINK="yes") == ""
    folder.note(status=FAILED)
    assert why(INCREMENT="600") == ""
