"""plot-coverage: the picture shows what the days' files say, to the pixel, and words say what has no shade.

Where a day lies is asked of plots.row_box, and what a shade or hatch looks like of plots.shades and plots.hatch; that
these are true of the picture is held against the dates, hours and key which it shows to people.
"""

import datetime
import itertools
import json
import os
import random
import subprocess
import sys

import h5py
import numpy as np
import pytest
from framemake.days import plots
from support.commands import BIN, DAY, END, START, needs, needs_package, refused, run, well
from support.sites import Site, signal


@pytest.fixture(autouse=True)
def drawn():
    needs_package("matplotlib")


class Out:
    """An output folder whose completed days the test lays down, as summarize leaves them."""

    def __init__(self, path):
        self.path = path
        path.mkdir()

    def day(self, date=DAY, masks=("1", "1"), start=START, duration=86400, status="completed", spec="V1trend"):
        """A day whose frame files cut it into as many pieces as a mask has characters."""
        folder = self.path / f"{spec}-{date}"
        (folder / "channels_info").mkdir(parents=True)
        (folder / "state_day.json").write_text(json.dumps({"date": date, "status": status}))
        if status != "completed":
            return folder
        base = folder / f"{spec}_{date.replace('-', '')}"
        base.with_suffix(".h5").touch()
        length = duration / len(masks[0]) if masks else duration
        made = [
            {"path": f"/f/{k}", "gps_start": start + k * length, "duration": length, "status": "used"}
            for k in range(len(masks[0]) if masks else 1)
        ]
        good = {f"V1:C{at}": round(mask.count("1") * length) for at, mask in enumerate(masks)}
        covered = {
            name: {"gwf_mask": mask, "total_samples": duration, "non_nan_samples": good[name]}
            for name, mask in zip(good, masks, strict=True)
        }
        (folder / "channels_info" / "channels_coverage.json").write_text(json.dumps(covered))
        summary = {
            "start_gps": start,
            "end_gps": start + duration,
            "start_dt_utc": f"{date}T00:00:00",
            "requested_channels": len(masks) + 1,
            "valid_channels": len(masks),
            "total_samples": duration * len(masks),
            "nan_samples": duration * len(masks) - sum(good.values()),
            "provenance": {"frames": made},
        }
        base.with_suffix(".summary.json").write_text(json.dumps(summary, indent=1))
        return folder

    @property
    def picture(self):
        return self.path.parent / "picture.png"

    def plot(self, odd=(), **options):
        """The picture, as an array of bytes (y, x, RGB); odd: how the lines begin that are said of it."""
        said = plots.plot(str(self.path), str(self.picture), **options)
        assert len(said) == len(odd) and all(map(str.startswith, said, odd)), said
        return pixels(self.picture)


@pytest.fixture
def out(tmp_path):
    return Out(tmp_path / "out")


def pixels(path):
    from matplotlib.image import imread

    return np.round(255 * imread(path)[..., :3]).astype(int)


def day_box(picture, number=0, count=1):
    """The pixels of a day, but those at its edges, which frames touch: (lines, columns of the picture, RGB)."""
    left, top, right, bottom = plots.row_box(number, count)
    return picture[top + 2 : bottom - 2, left + 2 : right - 2]


def day_row(picture, number=0, count=1):
    """The pixels of a shaded day, which is the same all over its height: (COLUMNS - 4, RGB)."""
    box = day_box(picture, number, count)
    assert len(box) > 10 and (box == box[0]).all()
    return box[0]


def colours(shaded):
    """What a row of shades is drawn as."""
    shades = plots.shades()
    return np.array([shades(float(part) if part > 0 else -1.0, bytes=True)[:3] for part in shaded]).astype(int)


def axes_of(figure):
    """The axes of a picture, by their labels."""
    return {axes.get_label(): axes for axes in figure.axes}


def shown(figure, *labels):
    """The words in some of the axes of a picture."""
    return [text.get_text() for label in labels for text in axes_of(figure)[label].texts]


def words(path):
    """(title, line below it) of a picture, as it carries them."""
    from PIL import Image

    with Image.open(path) as image:
        return image.text["Title"], image.text["Description"]


def looks(drawn, shaded):
    """Whether pixels are drawn as these shades, but for rounding to the next of 256."""
    return (abs(drawn - colours(shaded)) <= 3).all()


def after(number):
    return str(datetime.date.fromisoformat(DAY) + datetime.timedelta(days=number))


def grey(colour):
    return np.asarray(colour) @ (0.299, 0.587, 0.114)


# --- what is shaded ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A day by the real commands: a frame of one channel alone, one absent, one damaged, one across midnight."""
    needs("make", "parallel", "jq")
    made = Site(tmp_path_factory.mktemp("real") / "a site")
    made.want("V1:A", "V1:B", "V1:C", "V1:NEVER")
    every = [signal(f"V1:{name}", 7200) for name in "ABC"]
    for start in range(-3600, 86400, 7200):
        made.frame(start, 7200, every[:1] if start == 10800 else every)
    absent, damaged = made.frames / f"V-test-{START + 18000}-7200.gwf", made.frames / f"V-test-{START + 46800}-7200.gwf"
    absent.unlink()
    damaged.write_bytes(damaged.read_bytes()[:5000])
    assert made.make().returncode == 0
    return made


def test_a_real_day_is_as_dark_as_channels_have_samples(site, tmp_path):
    said = well("plot-coverage", site.out, "--out", tmp_path / "p.png")
    with h5py.File(site.h5) as file:
        there = np.array([~np.isnan(dataset[:]) for dataset in file["channels"].values()])
    assert there.shape == (3, 86400)
    least = there.mean(axis=0).reshape(plots.COLUMNS, 120).min(axis=1)
    assert {round(part, 3) for part in least} == {0, 0.333, 1}
    assert said == f"{tmp_path / 'p.png'}\n"
    assert looks(day_row(pixels(tmp_path / "p.png")), least[2:-2])
    title, below = words(tmp_path / "p.png")
    assert title == f"V1trend: {DAY}"
    assert below == f"1 completed, {np.floor(1000 * there.mean()) / 10} % of the samples of completed days are there"


def test_a_site_that_wants_no_summary_has_the_same_shades(site, tmp_path):
    assert not plots.plot(str(site.out), str(tmp_path / "with.png"))
    summary = site.h5.with_suffix(".summary.json")
    text = summary.read_bytes()
    summary.unlink()
    try:
        assert not plots.plot(str(site.out), str(tmp_path / "without.png"))
    finally:
        summary.write_bytes(text)
    assert (day_row(pixels(tmp_path / "with.png")) == day_row(pixels(tmp_path / "without.png"))).all()


def test_no_gap_is_too_short_to_be_seen():
    slots = [(START, START + 50000), (START + 50000, START + 50001), (START + 50001, END)]
    shaded = plots.shade(["101", "111"], slots, (START, END), START)
    assert shaded[50000 // 120] == 0.5 and (np.delete(shaded, 50000 // 120) == 1).all()


def test_where_frame_files_overlap_a_channel_has_what_either_gave():
    slots = [(START - 600, START + 1200), (START + 600, START + 2400), (START + 2400, END)]
    shaded = plots.shade(["101", "011"], slots, (START, END), START)
    assert (shaded[:5] == 0.5).all() and (shaded[5:10] == 1).all() and (shaded[10:20] == 0.5).all()
    assert (shaded[20:] == 1).all()


def test_what_was_not_asked_for_is_neither_there_nor_missing():
    shaded = plots.shade(["01"], [(START, START + 600), (START + 600, START + 1200)], (START, START + 1200), START)
    assert (shaded[:5] == 0).all() and (shaded[5:10] == 1).all() and np.isnan(shaded[10:]).all()


def test_a_leap_second_is_in_the_last_column():
    begin, end = 1167264017, 1167350418  # 2016-12-31
    shaded = plots.shade(["10"], [(begin, end - 1), (end - 1, end)], (begin, end), begin)
    assert shaded[-1] == 0 and (shaded[:-1] == 1).all()


def test_pieces_of_a_gap_meet():
    third = 86400 / 7
    slots = [(START + k * third, START + (k + 1) * third) for k in range(7)]
    assert (plots.shade(["1" * 7], slots, (START, END), START) == 1).all()


def test_shades_of_any_frames_are_those_of_second_by_second():
    random.seed(11)
    for _ in range(20):
        cuts = sorted(random.sample(range(1, 86400), 30))
        bounds = list(zip([0, *cuts], [*cuts, 86400], strict=True))
        # Some reach into the next, as overlapping files do.
        bounds = [(a, min(b + random.choice([0, 0, 500]), 86400)) for a, b in bounds]
        masks = ["".join(random.choices("01", (1, 5), k=len(bounds))) for _ in range(4)]
        there = np.zeros((4, 86400), dtype=bool)
        for at, mask in enumerate(masks):
            for (a, b), given in zip(bounds, mask, strict=True):
                there[at, a:b] |= given == "1"
        slots = [(START + a, START + b) for a, b in bounds]
        shaded = plots.shade(masks, slots, (START, END), START)
        assert (shaded == there.mean(axis=0).reshape(plots.COLUMNS, 120).min(axis=1)).all()


@pytest.mark.parametrize("masks", [["1", "11"], ["1x"], ["111"], ["é"]])
def test_a_mask_of_another_day_is_refused(masks):
    with pytest.raises(ValueError, match="a mask does not fit the 2 frame files"):
        plots.shade(masks, [(START, START + 9), (START + 9, END)], (START, END), START)


def test_one_channel_of_very_many_is_not_none():
    slots = [(START, END)]
    shaded = plots.shade(["1"] + ["0"] * 19_999, slots, (START, END), START)
    assert (colours(shaded[:1]) != 255).any()


def test_shades_are_told_apart_without_colour():
    drawn = [grey(colour) for colour in colours([0, *np.linspace(1e-6, 1, 9)])]
    assert all(a - b > 5 for a, b in itertools.pairwise(drawn))


# --- days, and what has no shade ---------------------------------------------------------


def test_each_day_has_its_row(out):
    out.day("2024-04-10", ["10", "10"])
    out.day("2024-04-11", ["01", "11"], START + 86400)
    picture = out.plot()
    upper, lower = day_row(picture, 0, 2), day_row(picture, 1, 2)
    middle = plots.COLUMNS // 2 - 2
    assert looks(upper[:middle], [1]) and (upper[middle:] == 255).all()
    assert looks(lower[:middle], [0.5]) and looks(lower[middle:], [1])


@pytest.mark.parametrize("count", [1, 3, 40])
def test_a_day_lies_where_its_date_and_the_hours_say(count):
    rows = [plots.Row(after(n), "", np.linspace(0, 1, plots.COLUMNS), 1.0, 2, 2) for n in range(count)]
    figure = plots.figure(rows)
    axes, high = axes_of(figure)["days"], figure.get_figheight() * figure.dpi
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [row.date for row in rows]
    hours = {tick.label1.get_text(): tick.get_loc() for tick in axes.xaxis.get_major_ticks()}
    for number, place in enumerate(axes.get_yticks()):
        left, top, right, bottom = plots.row_box(number, count)
        for hour, across in (("00:00", left), ("12:00", (left + right) / 2), ("24:00", right)):
            x, y = axes.transData.transform((hours[hour], place))
            assert (x, high - y) == pytest.approx((across, (top + bottom) / 2))
    assert len({plots.row_box(number, count)[1] for number in range(count)}) == count


def test_the_key_shows_the_shades(out):
    """And so what is held against plots.shades in other tests is true to who reads the picture."""
    out.day()
    picture = out.plot()
    figure = plots.figure([plots.Row(DAY, "", np.ones(plots.COLUMNS), 1.0, 2, 2)])
    key = axes_of(figure)["key"]
    percent = {label.get_text(): place for label, place in zip(key.get_xticklabels(), key.get_xticks(), strict=True)}
    assert list(percent) == ["0", "50", "100 %"]
    middle = sum(key.get_ylim()) / 2
    for label, part, aside in (("0", 0, 3), ("50", 0.5, 0), ("100 %", 1, -3)):
        x, y = key.transData.transform((percent[label], middle))
        colour = picture[len(picture) - round(y), round(x) + aside]
        assert (abs(colour - colours([part + aside / 240])) <= 5).all(), label


@pytest.mark.slow
@pytest.mark.parametrize("status", ["failed", "queued", "running"])
def test_a_day_that_is_not_completed_is_hatched_and_told(out, status):
    out.day("2024-04-10")
    out.day("2024-04-11", status=status)
    out.day("2024-04-13", start=START + 3 * 86400)
    picture = out.plot()
    told = words(out.picture)[1]
    assert "1 missing" in told and f"1 {'failed' if status == 'failed' else 'interrupted'}" in told
    third = plots.COLUMNS // 3
    # Words stand in the middle.
    boxes = [grey(day_box(picture, number, 4)[:, :third]) for number in (1, 2)]
    for box in boxes:
        assert (box < 128).any() and (box > 250).mean() > 0.4
    assert (boxes[0] != boxes[1]).mean() > 0.05, "hatched as a day that is missing"
    assert looks(day_row(picture, 0, 4), [1]) and looks(day_row(picture, 3, 4), [1])


def test_hatches_lie_on_their_days_and_are_those_of_the_key():
    said = ["failed", "", "missing", "missing", "interrupted", "", "coverage not known", "queued", "failed"]
    rows = [plots.Row(after(n), words, None if words else np.ones(plots.COLUMNS)) for n, words in enumerate(said)]
    figure = plots.figure(rows)
    drawn = {}
    for hatched in axes_of(figure)["days"].collections:
        if hatched.get_hatch():
            (path,) = hatched.get_paths()
            (left, first), (right, stop) = path.get_extents().get_points()
            assert (left, right) == (0, 24)
            drawn |= {number: hatched.get_hatch() for number in range(round(first), round(stop))}
    assert drawn == {number: plots.hatch(words) for number, words in enumerate(said) if words}
    (legend,) = figure.legends
    key = {
        text.get_text(): patch.get_hatch() for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    }
    assert key == {"no channel has data": None, **{words: plots.hatch(words) for words in said if words}}
    assert len(set(key.values())) == len(key), "two are hatched alike"


def test_words_stand_in_the_row_or_where_it_is_thin_beside_it():
    shaded = np.ones(plots.COLUMNS)
    rows = [plots.Row(after(n), "failed" if n == 70 else "", shaded, 1.0, 2, 2) for n in range(200)]
    rows[100:150] = [plots.Row(after(n), "missing") for n in range(100, 150)]
    assert shown(plots.figure(rows[60:80]), "days") == ["failed"]
    figure = plots.figure(rows)
    assert (shown(figure, "days"), shown(figure, "words")) == (["50 days: missing"], ["2024-06-19 failed"])


def test_words_beside_do_not_touch_and_stay_with_the_picture():
    random.seed(2)
    for count in (1, 5, 60):
        wanted = sorted(random.uniform(0, 1200) for _ in range(count))
        places = plots.apart(wanted, 1200, 12)
        assert all(b - a >= 12 - 1e-9 for a, b in itertools.pairwise(places))
        assert min(places) >= 0 and max(places) <= 1200
    assert plots.apart([10, 500], 1200, 12) == [10, 500]


def test_more_places_than_words_have_room_are_counted():
    rows = [plots.Row(after(n), "failed" if n % 2 else "", np.ones(plots.COLUMNS), 1.0, 2, 2) for n in range(300)]
    figure = plots.figure(rows)
    kept = shown(figure, "words")
    assert len(kept) > 90 and all("failed" in words for words in kept)
    places = [text.get_position()[1] for text in axes_of(figure)["words"].texts]
    assert min(b - a for a, b in itertools.pairwise(places)) >= 12 - 1e-9
    (rest,) = [text.get_text() for text in figure.texts if "more such places" in text.get_text()]
    assert rest == f"and {150 - len(kept)} more such places"


def test_a_day_with_no_sample_and_one_with_no_channel_are_told(out):
    for number, masks in enumerate((["00"], [])):
        out.day(f"2024-04-1{number}", masks, START + number * 86400)
    rows = [plots.row_of(day) for day in plots.status.days_of(str(out.path))]
    assert [(row.words, row.coverage, row.channels, problem) for row, problem in rows] == [
        ("no channel has a sample", 0, 1, ""), ("no channel has a sample", 0, 0, ""),
    ]  # fmt: skip
    picture = out.plot()
    assert all((grey(day_box(picture, number, 2)) < 128).any() for number in (0, 1))


def test_numbers_stand_beside_the_days():
    rows = [plots.Row(DAY, "", np.ones(plots.COLUMNS), 0.99999, 12, 14), plots.Row("2024-04-11", "", None, 0.5, 3)]
    figure = plots.figure(rows)
    assert (shown(figure, "samples"), shown(figure, "channels")) == (["99.9 %", "50.0 %"], ["12 of 14", "3"])
    for label, drawn in (("samples", [99.999, 50]), ("channels", [12, 3])):
        axes = axes_of(figure)[label]
        assert axes.patches[0].get_data().values.tolist() == pytest.approx(drawn)
        assert [text.get_position()[1] for text in axes.texts] == [0.5, 1.5]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("channels_info/channels_coverage.json", "{"),
        ("channels_info/channels_coverage.json", None),
        (
            "channels_info/channels_coverage.json",
            '{"V1:A": {"gwf_mask": "1", "total_samples": 9, "non_nan_samples": 9}}',
        ),
        ("channels_info/channels_coverage.json", '{"V1:A": {"gwf_mask": "1"}}'),
        ("V1trend_20240411.summary.json", None),
    ],
)
def test_a_coverage_that_cannot_be_read_is_told_and_drawn_as_not_known(out, name, text):
    out.day("2024-04-10", ["10", "11"])
    path = out.day("2024-04-11", ["10", "11"], START + 86400) / name
    path.unlink() if text is None else path.write_text(text)
    picture = out.plot(odd=["the coverage of a completed day cannot be read: '2024-04-11': "])
    assert looks(day_row(picture, 0, 2)[: plots.COLUMNS // 2 - 2], [1])
    box = grey(day_box(picture, 1, 2)[:, : plots.COLUMNS // 3])
    assert (box < 128).any() and (box > 250).mean() > 0.4
    (row, _) = plots.row_of(plots.status.days_of(str(out.path))[1])
    assert row.words == "coverage not known"


def test_the_command_says_what_cannot_be_read_and_leaves_with_3(out):
    (out.day(masks=["10", "11"]) / "channels_info" / "channels_coverage.json").unlink()
    status, printed, told = run("plot-coverage", out.path, "--out", out.picture)
    assert (status, printed) == (3, f"{out.picture}\n")
    assert told.count("\n") == 1
    assert told.startswith(f"plot-coverage: the coverage of a completed day cannot be read: '{DAY}': ")


# --- the picture -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 14, 60, 61, 400, 600, 601, 3000])
def test_the_size_is_sensible_for_any_number_of_days(count):
    height = plots.row_height(count)
    assert height >= (20 if count <= 60 else 3 if count <= 600 else 1)
    assert 28 <= height * count <= 3000
    axes = axes_of(plots.figure([plots.Row(after(n), "missing") for n in range(count)]))["days"]
    places, labels = axes.get_yticks(), [label.get_text() for label in axes.get_yticklabels()]
    assert 1 <= len(labels) == len(places)
    assert labels == [after(int(place)) for place in places]
    assert all((b - a) * height >= 11 for a, b in itertools.pairwise(places))


@pytest.mark.long
def test_the_same_days_give_the_same_bytes_whatever_the_users_settings(out, tmp_path):
    out.day(), out.day("2024-04-12", ["10"], START + 2 * 86400)
    (tmp_path / "matplotlibrc").write_text("font.size: 30\nsavefig.dpi: 20\n")
    second, closed = tmp_path / "second.png", tmp_path / "closed.png"
    out.plot()
    well("plot-coverage", out.path, "--out", second, env={"MPLCONFIGDIR": str(tmp_path), "MPLBACKEND": "nonsense"})
    # A host on which the user of cron has no home.
    well("plot-coverage", out.path, "--out", closed, env={"HOME": "/dev/null", "MPLCONFIGDIR": "/dev/null/x"})
    assert out.picture.read_bytes() == second.read_bytes() == closed.read_bytes()


@pytest.mark.slow
def test_it_replaces_what_was_there_and_leaves_nothing_aside(out, tmp_path):
    out.day()
    folder = tmp_path / "new"
    for _ in range(2):
        assert not plots.plot(str(out.path), str(folder / "p.png"))
        assert [path.name for path in folder.iterdir()] == ["p.png"]


@pytest.mark.slow
def test_a_write_that_fails_leaves_the_old_picture(out, tmp_path):
    out.day()
    kept = tmp_path / "kept.png"
    kept.write_text("old")
    script = f"ulimit -f 1; exec '{BIN / 'plot-coverage'}' '{out.path}' --out '{kept}'"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and kept.read_text() == "old" and "Traceback" not in done.stderr


@pytest.mark.slow
def test_of_several_specs_one_is_drawn(out):
    out.day(), out.day(spec="V1raw")
    told = refused("plot-coverage", out.path, "--out", out.picture)
    assert "several SPECs, --spec says which (V1raw, V1trend)" in told
    out.plot(spec="V1raw")
    assert words(out.picture)[0] == f"V1raw: {DAY}"


def test_the_range_asked_for_is_drawn(out):
    out.day()
    well("plot-coverage", out.path, "--out", out.picture, "--first", "2024-04-08", "--last", "2024-04-11")
    title, below = words(out.picture)
    assert title == "V1trend: 4 days, 2024-04-08 to 2024-04-11" and below.startswith("1 completed, 3 missing, ")


@pytest.mark.slow
def test_no_name_is_taken_for_a_formula(out):
    out.plot(spec="$\\frac$\nx", first=DAY, last=DAY)
    assert words(out.picture)[0] == f"$\\frac$?x: {DAY}"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["none", "--out", "p.png"], "no such file or directory: 'none'"),
        (["empty", "--out", "p.png"], "no day in folder: 'empty'"),
        (
            ["empty", "--out", "p.png", "--first", "yesterday"],
            "no such day, want YYYY-MM-DD since 1980-01-06: 'yesterday'",
        ),
        (["empty", "--out", "p.png", "--start", "2024-02-02", "--end", "2024-02-01"], "the range is empty"),
        (["empty", "--out", "p.png", "--first", "2024-02-02", "--last", "2024-02-01"], "the range is empty"),
        (["empty", "--out", "p.png", "--start", "1980-02-02", "--end", "2050-02-01"], "too many days for a picture"),
        (["empty", "--out", "p.pdf"], "the picture is a PNG, want FILE.png: 'p.pdf'"),
        (["empty", "--out", "folder.png"], "is a folder, want a file to write: 'folder.png'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, args, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.png").mkdir()
    assert said in refused("plot-coverage", *args, cwd=tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["empty", "folder.png"] and not os.listdir(tmp_path / "folder.png")


def test_no_other_room_imports_it_and_it_imports_no_pyplot(out):
    out.day()
    script = (
        "import os, runpy, sys\n"
        "sys.path.insert(0, os.path.dirname(sys.orig_argv[-1]))\n"
        f"sys.argv = ['plot-coverage', {str(out.path)!r}, '--out', {str(out.path.parent / 'p.png')!r}]\n"
        "try: runpy.run_path(sys.orig_argv[-1], run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({'gwpy', 'astropy', 'h5py', 'gwframe', 'matplotlib.pyplot'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, BIN / "plot-coverage"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    users = [path for path in (BIN.parent / "lib").rglob("*.py") if "import matplotlib" in path.read_text()]
    assert sorted(path.name for path in users) == ["curves.py", "plots.py", "rows.py"]
