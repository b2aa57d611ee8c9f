"""An import that dies, fails, or is written into by another, and is tried again: the streams come to the same."""

import os
import shutil

import numpy as np
import pytest
from framemake import gwf
from framemake.errors import BadInput
from framemake.host import faults
from framemake.streams import records, store
from framemake.streams.intake import disk, importer, samples, sums, tree, writing
from framemake.streams.intake.sums import FramePiece, Running, arrange, extend
from framemake.streams.verify import reread
from hypothesis import assume, given
from hypothesis import strategies as some
from support import streams as made
from support.stream_files import Written
from support.streams import HOUR, NIGHT

SEIS, RAIN = "H0:PEM-EX_SEISX", "H0:PEM-EX_RAIN"
BOTH = {SEIS: "f4", RAIN: "i4"}


@pytest.fixture
def root(tmp_path):
    for hour in range(2):
        made.frame(tmp_path / "frames", NIGHT + hour * HOUR, BOTH)
    return tmp_path / "frames"


def undisturbed(root, tmp_path):
    """What the streams of a tree are when nothing happens."""
    other = tmp_path / "undisturbed"
    shutil.rmtree(other, ignore_errors=True)
    made.imported(root, other)
    return made.contents(other), made.logged(other)


def as_undisturbed(root, out, tmp_path):
    assert (made.contents(out), made.logged(out)) == undisturbed(root, tmp_path)
    return True


def dying(where, call, root, out):
    """An import in a process that ends, as by kill -9, just before a function is called so many times."""
    pid = os.fork()
    if not pid:
        module, name = where
        real, left = getattr(module, name), [call]

        def dies(*args, **more):
            left[0] -= 1
            if not left[0]:
                os._exit(9)
            return real(*args, **more)

        setattr(module, name, dies)
        try:
            importer.run(str(root), str(out))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


# Just before: all is on the disk; the state names it; the new streams take their place; the end.
MOMENTS = {
    "before the disk has it": ((disk, "sync_all"), 1),
    "before the state names it": ((writing.Writer, "_put_state"), 2),
    "before the new streams take their place": ((writing.Writer, "_settle"), 1),
    "between two of them": ((os, "replace"), 5),
    "before the end is noted": ((writing.Writer, "close"), 1),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("later", ["as it was", "with another hour"])
def test_an_import_that_dies_is_gone_on_with_as_if_it_had_not(root, tmp_path, moment, later):
    out = tmp_path / "streams"
    dying(*MOMENTS[moment], root, out)
    if later == "with another hour":
        made.frame(root, NIGHT + 2 * HOUR, BOTH)
    made.imported(root, out)
    assert as_undisturbed(root, out, tmp_path)


@pytest.mark.parametrize("moment", ["before the disk has it", "before the state names it"])
@pytest.mark.parametrize("hour", [2, 5])
def test_an_import_that_dies_as_it_appends_leaves_readers_what_was_committed(root, tmp_path, moment, hour):
    out = tmp_path / "streams"
    made.imported(root, out)
    before = {name: made.records(out, name).tobytes() for name in BOTH}
    made.frame(root, NIGHT + hour * HOUR, BOTH)
    where, call = MOMENTS[moment]
    dying(where, 1 if where[1] == "_put_state" else call, root, out)
    assert {name: made.records(out, name).tobytes() for name in BOTH} == before
    made.imported(root, out)
    assert as_undisturbed(root, out, tmp_path)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", ["write_at", "sync_all"])
def test_an_import_that_fails_gives_the_room_back_at_once(root, tmp_path, monkeypatch, name, error):
    """A disk that is full stays full, if what could not be committed stays."""
    out = tmp_path / "streams"
    made.imported(root, out)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    made.frame(root, NIGHT + 2 * HOUR, {**BOTH, "H0:PEM-LVEA_TILTX": "f8"})
    real, left = getattr(disk, name), [6 if name == "write_at" else 1]

    def fails(*args):
        left[0] -= 1
        if not left[0]:
            raise error
        return real(*args)

    with monkeypatch.context() as full:
        full.setattr(disk, name, fails)
        with pytest.raises(type(error)):
            importer.run(str(root), str(out))
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    assert os.listdir(store.hidden(str(out), store.ASIDE)) == []
    made.imported(root, out)
    assert as_undisturbed(root, out, tmp_path)


def grow(path, item=25):
    with open(path, "ab") as out:
        out.write(b"\xff" * item)


@pytest.mark.parametrize("which", ["log", "records", "index"])
def test_who_writes_to_the_streams_during_an_import_is_noticed_before_anything_counts(
    root, tmp_path, monkeypatch, which
):
    """An original importer that still runs: both would append to the same places."""
    out = tmp_path / "streams"
    made.imported(root, out)
    committed = store.load(str(out))
    made.frame(root, NIGHT + 3 * HOUR, BOTH)
    path = out / {"log": writing.LOG, "records": f"{RAIN}.bin", "index": f"{RAIN}.index.bin"}[which]
    real = writing.Writer.commit

    def commit(self, *args, **more):
        grow(path)
        return real(self, *args, **more)

    with monkeypatch.context() as other:
        other.setattr(writing.Writer, "commit", commit)
        with pytest.raises(BadInput, match="another program writes to the streams"):
            importer.run(str(root), str(out))
    assert store.load(str(out)) == committed


def test_who_has_written_to_them_since_is_told(root, tmp_path):
    out = tmp_path / "streams"
    made.imported(root, out)
    with open(out / writing.LOG, "a") as log:
        log.write("H-M-1-3600.gwf\n")
    made.frame(root, NIGHT + 2 * HOUR, BOTH)
    done = importer.run(str(root), str(out))
    assert done.others == [writing.LOG] and "another program has written to it" in "".join(made.errors(out))
    assert importer.run(str(root), str(out)).others == []


# --- files with faults -----------------------------------------------------------------------


def test_a_file_that_is_mended_is_no_fault_any_more_and_one_that_is_not_stays_one(root, tmp_path):
    out = tmp_path / "streams"
    paths = [made.path_of(root, NIGHT + hour * HOUR) for hour in (2, 3)]
    for path in paths:
        path.write_bytes(b"no frame")
    assert importer.run(str(root), str(out)).faulty == [path.name for path in paths]
    assert set(writing.faulty(str(out))) == {path.name for path in paths}
    assert importer.run(str(root), str(out)).faulty == [], "what is as it was is not tried, and not told, again"
    made.frame(root, NIGHT + 2 * HOUR, BOTH)
    assert importer.run(str(root), str(out)).faulty == []
    assert set(writing.faulty(str(out))) == {paths[1].name}
    assert [fault.name for fault in faults.of_streams(str(out), str(root))] == [str(paths[1])]
    paths[1].unlink()
    assert importer.run(str(root), str(out)).faulty == [] and not list(faults.of_streams(str(out), str(root)))
    assert as_undisturbed(root, out, tmp_path)


def test_a_file_of_which_the_system_does_not_give_a_part_is_tried_again_though_it_is_what_it_was(
    root, tmp_path, monkeypatch
):
    """A bad block of a disk is played: one channel that cannot be read, and what a look at the whole file would say."""
    out, path, real = tmp_path / "streams", made.path_of(root, NIGHT), samples.gather

    def torn(file, *options):
        together, contents = real(file, *options)
        if file.path == str(path):
            for alike in together:
                contents.found.update(alike.trends())
            del contents.found[SEIS]
            contents.faults.append((SEIS, "damaged"))
            together = []
        return together, contents

    with monkeypatch.context() as bad:
        bad.setattr(samples, "gather", torn)
        bad.setattr(gwf, "refusal", lambda path: "input/output error")
        for _ in range(2):
            assert importer.run(str(root), str(out)).faulty == [path.name]
    assert importer.run(str(root), str(out)).faulty == []
    assert as_undisturbed(root, out, tmp_path)


def test_a_late_file_that_lacks_its_neighbour_as_the_system_does_not_give_it_comes_when_it_does(
    root, tmp_path, monkeypatch
):
    out, real = tmp_path / "streams", samples.gather
    path = made.path_of(root, NIGHT)
    path.rename(tmp_path / "late")
    made.imported(root, out)
    (tmp_path / "late").rename(path)
    after = made.path_of(root, NIGHT + HOUR)

    def broken(file, *options):
        if file.path == str(after):
            raise OSError(5, "Input/output error", file.path)
        return real(file, *options)

    with monkeypatch.context() as bad:
        bad.setattr(samples, "gather", broken)
        for _ in range(2):
            assert importer.run(str(root), str(out)).faulty == [path.name]
            assert "comes too late to be put in its place" in made.errors(out)[-1]
    assert importer.run(str(root), str(out)).faulty == []
    contents, logged = undisturbed(root, tmp_path)
    assert (made.contents(out), set(made.logged(out))) == (contents, set(logged))


def test_a_file_that_is_gone_again_is_no_replaced_one(root, tmp_path):
    out = tmp_path / "streams"
    made.imported(root, out)
    before = made.contents(out)
    made.path_of(root, NIGHT).unlink()
    done = importer.run(str(root), str(out))
    assert (done.faulty, done.files) == ([], 0) and made.contents(out) == before


def test_a_file_that_goes_between_the_listing_and_the_look_at_it_is_no_replaced_one(root, tmp_path, monkeypatch):
    out = tmp_path / "streams"
    made.imported(root, out)
    before = made.contents(out)
    real, path = tree.stamp_of, str(made.path_of(root, NIGHT))

    def look(each):
        if each == path and os.path.exists(path):
            os.unlink(path)
        return real(each)

    monkeypatch.setattr(tree, "stamp_of", look)
    assert importer.run(str(root), str(out)).faulty == [] and made.contents(out) == before


@pytest.mark.parametrize("hour", [0, 1])
def test_a_file_that_was_replaced_takes_the_place_of_what_it_was(root, tmp_path, hour):
    out = tmp_path / "streams"
    made.imported(root, out)
    mean = np.full(60, 7, "i4")
    signals = made.trend(SEIS, NIGHT + hour * HOUR, 60, 60) + made.trend(
        RAIN, NIGHT + hour * HOUR, 60, 60, "i4", mean=mean, rms=mean
    )
    path = made.frame(root, NIGHT + hour * HOUR, signals)
    os.utime(path, (1, 1))
    done = importer.run(str(root), str(out))
    assert done.faulty == [] and done.rewritten == [RAIN]
    assert made.contents(out) == undisturbed(root, tmp_path)[0]
    assert importer.run(str(root), str(out)).rewritten == []


def test_a_late_hour_that_would_lose_what_is_stored_stays_out_and_is_told_until_it_can_come(root, tmp_path):
    out = tmp_path / "streams"
    made.frame(root, NIGHT + 3 * HOUR, BOTH)
    made.imported(root, out)
    before, gone = made.contents(out), made.path_of(root, NIGHT + 3 * HOUR)
    aside = gone.read_bytes(), gone.stat().st_mtime_ns
    gone.unlink()
    late = made.frame(root, NIGHT + 2 * HOUR, BOTH)
    done = importer.run(str(root), str(out))
    assert done.faulty == [late.name] and made.contents(out) == before
    assert late.name not in made.logged(out), "it is not done"
    gone.write_bytes(aside[0])
    os.utime(gone, ns=(aside[1],) * 2)
    os.utime(late)
    made.imported(root, out)
    assert made.contents(out) == undisturbed(root, tmp_path)[0]


@pytest.mark.parametrize("ending", [".bin", ".index.bin"])
@pytest.mark.parametrize("lost", [25, 3])
def test_a_stream_that_holds_less_than_was_committed_is_mended_from_its_frames(root, tmp_path, ending, lost):
    out = tmp_path / "streams"
    made.frame(root, NIGHT + 4 * HOUR, BOTH)
    made.imported(root, out)
    path = out / f"{RAIN}{ending}"
    os.truncate(path, path.stat().st_size - lost)
    importer.run(str(root), str(out))
    assert as_undisturbed(root, out, tmp_path)


def test_a_last_record_that_is_not_whole_is_cut_off_when_a_folder_is_taken_over(root, tmp_path):
    out = tmp_path / "streams"
    made.imported(root, out)
    shutil.rmtree(out / store.HIDDEN)  # as the original importer left it
    grow(out / f"{RAIN}.bin", 7)
    made.frame(root, NIGHT + 2 * HOUR, BOTH)
    made.imported(root, out)
    assert made.contents(out) == undisturbed(root, tmp_path)[0]
    assert "its last record was not whole" in "".join(made.errors(out))


@pytest.mark.parametrize(
    ("slope", "bias", "fits"), [(2.0, 1.0, True), (2.000001, 1.0, True), (2.1, 1.0, False), (2.0, 1.5, False)]
)
def test_samples_under_another_calibration_are_left_out_and_what_six_digits_do_not_tell_is_the_same(
    tmp_path, slope, bias, fits
):
    root, out = tmp_path / "frames", tmp_path / "streams"
    for hour, each in enumerate([(2.0, 1.0), (slope, bias)]):
        signals = [s._replace(slope=each[0], bias=each[1]) for s in made.trend(SEIS, NIGHT + hour * HOUR, 60, 60)]
        made.frame(root, NIGHT + hour * HOUR, signals)
    done = importer.run(str(root), str(out))
    assert bool(done.faulty) != fits and len(made.records(out, SEIS)) == (120 if fits else 60)


def test_files_that_overlap_are_in_one_cluster_whatever_lies_between():
    file = lambda start, end: tree.TrendFile("/f", f"{start}", start, end, end - start < 3600)  # noqa: E731
    listing = [file(0, 3600), file(0, 600), file(600, 660), file(1200, 1800), file(3599, 4000), file(4000, 4100)]
    assert [[each.start for each in cluster] for cluster in tree.clusters(listing)] == [[0, 0, 600, 1200, 3599], [4000]]


# --- the sums --------------------------------------------------------------------------------


def test_a_sum_that_no_float_holds_is_refused_and_one_that_just_fits_is_not():
    big = np.full(4, 1e150)
    piece = FramePiece(float(NIGHT), 60.0, big, big, None, False)
    assert np.isfinite(extend(Running(), 16, "double", [piece])[2].square)
    with pytest.raises(sums.Overflow):
        extend(Running(), 10**9, "double", [piece])


def test_what_begins_before_the_last_sample_ends_is_dropped():
    piece = FramePiece(float(NIGHT), 60.0, np.ones(3, "f4"), np.ones(3, "f4"), None, False)
    running = extend(Running(), 16, "float", [piece])[2]
    assert running.reach == NIGHT + 180
    for start, left in ((150.0, 2), (179.0, 2), (180.0, 3), (181.0, 3), (0.0, 0), (60.0, 1)):
        got, _, ends = extend(running, 16, "float", [piece._replace(start=NIGHT + start)])
        assert np.count_nonzero(got["valid"]) == left, start
        assert ends.last >= running.last


VALUES = some.lists(some.integers(1, 1000) | some.floats(0.125, 1e6, width=32), min_size=1, max_size=8)
FILES = some.lists(some.tuples(some.integers(0, 3), some.sampled_from([1, 60]), VALUES), min_size=1, max_size=5)


def laid_out(files):
    """Pieces one after another, with gaps of so many of their own samples before them."""
    at, pieces = float(NIGHT), []
    for gap, step, values in files:
        at = np.ceil(at / step) * step + gap * step
        data = np.array(values, "f4")
        pieces.append(FramePiece(at, float(step), data, data + 1, None, step == 1))
        at += len(values) * step
    return pieces


@given(FILES, some.sampled_from([1, 16, 256]), some.integers(1, 4))
def test_records_of_any_files_are_those_of_the_format_taken_literally_however_they_come(files, rate, cut):
    pieces = laid_out(files)
    written = Written(rate=rate)
    for piece in pieces:
        written.file(piece.start, piece.interval, piece.mean.astype(float), piece.rms.astype(float))
    running, made_of = Running(), []
    for part in (pieces[:cut], pieces[cut:]):
        got, _, running = extend(running, rate, "float", part)
        made_of.append(got)
    whole, index, ends = extend(Running(), rate, "float", pieces)
    assert np.concatenate(made_of).tobytes() == whole.tobytes() and running == ends
    wanted = written.records()
    assume(len(wanted) == len(whole))  # of a gap of two samples at 1 Hz both records fall on one time: one is left
    np.testing.assert_array_equal(whole["time"], wanted["time"])
    np.testing.assert_array_equal(whole["valid"], wanted["valid"])
    np.testing.assert_allclose(whole["sum"], wanted["sum"], rtol=1e-12)
    np.testing.assert_allclose(whole["square"], wanted["square"], rtol=1e-12)
    # Where each record lies follows from the index.
    steps = np.diff(whole["time"])
    changes = [float(whole["time"][0]), *steps[np.abs(np.diff(steps, prepend=-1)) >= records.CHANGE].tolist()]
    assert set(np.round(changes, 6)) <= set(np.round(index["interval"], 6).tolist())


PIECES = some.lists(
    some.tuples(some.integers(0, 40), some.booleans(), some.integers(1, 12)), min_size=1, max_size=6
)  # start in units of 5 s, second trend, samples


@given(PIECES, some.none() | some.integers(0, 200))
def test_of_samples_that_overlap_those_are_kept_which_the_second_way_keeps(pieces, reach):
    """The importer's choice, against the one by which check-streams expects samples, which shares no code with it."""
    made_of = [
        FramePiece(float(NIGHT + 5 * start), 1.0 if fine else 5.0, np.ones(n, "f4"), np.ones(n, "f4"), None, fine)
        for start, fine, n in pieces
    ]
    reach = -np.inf if reach is None else float(NIGHT + reach)
    kept = arrange(made_of, reach)
    times = [made_of[at].start + k * made_of[at].interval for at, low, high in kept for k in range(low, high)]
    lengths = [made_of[at].interval for at, low, high in kept for _ in range(low, high)]
    assert times == sorted(times) and all(time >= reach for time in times)
    assert all(a + n <= b + 1e-6 for a, n, b in zip(times, lengths, times[1:], strict=False)), "two samples overlap"
    if reach == -np.inf:
        expected = reread.expected(reread.TrendPiece(p.start, p.interval, p.fine, p.mean, p.rms, True) for p in made_of)
        assert times == expected.time.tolist()


PLACES = some.sets(some.integers(0, 8), max_size=2)


@given(some.integers(1, 9), PLACES, PLACES, some.integers(1, 3))
def test_no_data_spreads_to_its_neighbours_as_the_second_way_has_it(count, zeros, marks, files):
    """A zero in mean or rms, or a bad mark: in the importer, and as check-streams reads it."""
    mean, bad = np.full(count, 5, "f4"), np.zeros(count, bool)
    mean[[at for at in zeros if at < count]] = 0
    bad[[at for at in marks if at < count]] = True
    pieces = [FramePiece(float(NIGHT + 100 * at), 1.0, mean, mean, bad, True) for at in range(files)]
    got = sums.cleaned(pieces, np.dtype("f8"))
    want = reread.without_bad(mean, mean, ~bad, np.dtype("f8"))
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, np.tile(other, files))
