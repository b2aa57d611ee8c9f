"""bin/list-frames: every source of frames, in the order of time, as lines that it can read again."""

import os
import subprocess

import pytest
from support.commands import BIN, DAY, END, START, frame_file, needs, refused, run, stub, well


def lines(*paths, start=START, duration=100):
    """The FFL lines of these files, `duration` apart."""
    return "".join(f"{path} {start + duration * k} {duration} 0 0\n" for k, path in enumerate(paths))


@pytest.fixture
def two(tmp_path):
    """Two files of 100 s, one after the other."""
    return [stub(tmp_path / "frames", START + 100 * k) for k in range(2)]


@pytest.fixture
def listed(tmp_path):
    """Write a list (text or lines) and give its path."""

    def write(*text, name="some.ffl", end="\n"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(f"{line}{end}" for line in text).encode("utf-8", "surrogateescape"))
        return path

    return write


def table(*args, **options):
    """The last column of --table by file name."""
    rows = [line.split("\t") for line in well("list-frames", "--table", *args, **options).splitlines()]
    assert all(len(row) == 6 for row in rows)
    return {os.path.basename(row[0]): row[5] for row in rows}


# What a list may look like


def test_a_frame_file_list(listed, two):
    assert well("list-frames", listed(*(f"{path} {START + 100 * k} 100 0 0" for k, path in enumerate(two)))) == lines(
        *two
    )


def test_decimal_times_and_any_white_space(listed, two):
    a, b = two
    ffl = listed(f"  {a}\t{START}.000000   100.000000 0.000000\t0  ", f"{b} {START + 100}. 1e2 0 0")
    assert well("list-frames", ffl) == lines(a, b)


def test_the_order_is_that_of_time(listed, two):
    a, b = two
    assert well("list-frames", listed(f"{b} {START + 100} 100 0 0", f"{a} {START} 100 0 0")) == lines(a, b)


def test_blank_lines_and_comments_are_no_frames(listed, two):
    a, b = two
    ffl = listed(
        "",
        "# a comment",
        f"#{a} {START - 100} 100 0 0",
        f"{a} {START} 100 0 0",
        "   ",
        "#",
        f"{b} {START + 100} 100 0 0",
    )
    assert well("list-frames", ffl) == lines(a, b)


@pytest.mark.parametrize("columns", ["", f" {START}", f" {START} 100", f" {START} 100 0", f" {START}.0"])
def test_columns_may_be_missing_as_the_name_tells(listed, two, columns):
    assert well("list-frames", listed(f"{two[0]}{columns}")) == lines(two[0])


def test_a_start_alone_that_contradicts_the_name_is_told_and_not_believed(listed, two):
    a, b = two
    status, out, told = run("list-frames", listed(f"{a} {START + 7}", f"{b}"))
    assert (status, out) == (0, lines(b, start=START + 100))
    assert "line 1 of" in told


def test_the_times_of_the_list_go_before_those_of_the_name(listed, two):
    assert well("list-frames", listed(f"{two[0]} {START + 7} 50 0 0")) == lines(two[0], start=START + 7, duration=50)


def test_a_name_that_tells_nothing_has_its_times_from_the_list(listed, tmp_path):
    odd = stub(tmp_path, name="online.gwf")
    assert well("list-frames", listed(f"{odd} {START} 100 0 0")) == lines(odd)


def test_windows_line_ends(listed, two):
    assert well("list-frames", listed(*lines(*two).splitlines(), end="\r\n")) == lines(*two)
    assert well("list-frames", listed(*map(str, two), end="\r\n")) == lines(*two)


def test_no_final_line_end(listed, two):
    assert well("list-frames", listed(lines(*two).rstrip("\n"), end="")) == lines(*two)


def test_a_byte_order_mark(listed, two):
    assert well("list-frames", listed("\ufeff" + lines(*two), end="")) == lines(*two)


def test_relative_paths_are_relative_to_the_list(listed, two, tmp_path):
    ffl = listed(f"frames/{two[0].name} {START} 100 0 0", f"./frames/../frames/{two[1].name}")
    assert well("list-frames", ffl, cwd="/") == lines(*two)
    assert well("list-frames", "some.ffl", cwd=tmp_path) == lines(*two)


def test_lengths_may_be_mixed(listed, tmp_path):
    made = [stub(tmp_path, START, 100), stub(tmp_path, START + 100, 3600), stub(tmp_path, START + 3700, 1)]
    assert well("list-frames", listed(*made)) == (
        f"{made[0]} {START} 100 0 0\n{made[1]} {START + 100} 3600 0 0\n{made[2]} {START + 3700} 1 0 0\n"
    )


def test_a_length_that_is_no_whole_number(listed, tmp_path):
    path = stub(tmp_path, name="Z-X-1000000000.5-0.25.gwf")
    line = f"{path} 1000000000.5 0.25 0 0\n"
    assert well("list-frames", listed(path)) == line
    assert well("list-frames", "-", input=line) == line


# Lists in lists


@pytest.mark.parametrize("columns", ["", " 0 0 0 0", f" {START} 100 0 0"])
@pytest.mark.parametrize("window", [(), ("--day", DAY)])
def test_a_list_may_name_another_relative_to_its_own_folder(listed, two, columns, window):
    listed(f"../frames/{two[1].name}", name="sub/inner.ffl")
    ffl = listed(str(two[0]), f"sub/inner.ffl{columns}")
    assert well("list-frames", ffl, *window, cwd="/") == lines(*two)


def test_a_list_may_be_named_from_two_lists(listed, two):
    listed(*two, name="inner.ffl")
    listed("inner.ffl", name="left.ffl")
    listed("inner.ffl", name="right.ffl")
    assert well("list-frames", listed("left.ffl", "right.ffl")) == lines(*two)


def test_a_list_that_names_itself_is_one_clear_error(listed, two):
    told = refused("list-frames", listed(str(two[0]), "some.ffl"))
    assert "names itself" in told and "some.ffl" in told


def test_two_lists_that_name_each_other_are_one_clear_error(listed, tmp_path):
    listed("some.ffl", name="sub/../other.ffl")
    (tmp_path / "link.ffl").symlink_to("some.ffl")
    assert "names itself" in refused("list-frames", listed("other.ffl"))
    listed("link.ffl", name="sub/../other.ffl")
    assert "names itself" in refused("list-frames", tmp_path / "some.ffl")


def test_an_absent_inner_list_is_an_error_that_names_it(listed, two):
    assert "gone.ffl" in refused("list-frames", listed(str(two[0]), "gone.ffl"))


# Other sources


@pytest.mark.parametrize("host", ["file://localhost", "file://", "file:", ""])
def test_a_lal_cache(listed, two, host):
    rows = [f"V V1trend {START + 100 * k} 100 {host}{path}" for k, path in enumerate(two)]
    assert well("list-frames", listed(*rows, name="some.lcf")) == lines(*two)
    assert well("list-frames", listed(*rows, name="some.cache"), "--day", DAY) == lines(*two)


def test_a_url_in_a_cache_is_percent_encoded(listed, tmp_path):
    path = stub(tmp_path / "a b%é")
    url = f"{tmp_path}/a%20b%25%C3%A9/{path.name}"
    assert well("list-frames", listed(f"V V1trend {START} 100 file://localhost{url}")) == lines(path)


def test_a_path_in_a_list_is_not_percent_encoded(listed, tmp_path):
    path = stub(tmp_path / "a%20b")
    assert well("list-frames", listed(f"{path} {START} 100 0 0")) == lines(path)


def test_a_frame_of_another_host_is_an_error(listed):
    assert "gsiftp" in refused("list-frames", listed(f"V V1trend {START} 100 gsiftp://host/V-x-{START}-100.gwf"))


def test_a_folder_is_searched_to_its_depth(tmp_path):
    made = [stub(tmp_path / "V-1396", START), stub(tmp_path / "V-1396/deep", START + 100), stub(tmp_path, START + 200)]
    (tmp_path / "README.txt").write_text("no frame")
    assert well("list-frames", tmp_path) == lines(*made)
    assert well("list-frames", ".", cwd=tmp_path) == lines(*made)


def test_what_rsync_is_still_writing_is_left_out_of_a_folder(tmp_path):
    path = stub(tmp_path)
    stub(tmp_path, name=f".V-trend-{START + 100}-100.gwf.Xa81bc")
    stub(tmp_path, name=f".V-trend-{START + 100}-100.gwf")
    stub(tmp_path / ".~tmp~", START + 100)
    assert well("list-frames", tmp_path) == lines(path)


def test_a_misnamed_file_in_a_folder_is_told(tmp_path):
    path = stub(tmp_path)
    odd = stub(tmp_path, name="online.gwf")
    status, out, told = run("list-frames", tmp_path)
    assert (status, out) == (0, lines(path))
    assert repr(str(odd)) in told


def test_a_folder_without_a_frame_is_an_error(tmp_path):
    assert repr(str(tmp_path)) in refused("list-frames", tmp_path)


def test_one_frame_file(two):
    assert well("list-frames", two[0]) == lines(two[0])
    assert well("list-frames", two[0].name, cwd=two[0].parent) == lines(two[0])


def test_standard_input_is_read_for_a_dash_or_nothing(two):
    assert well("list-frames", "-", input=lines(*two)) == lines(*two)
    assert well("list-frames", input=lines(*two)) == lines(*two)


def test_relative_paths_of_standard_input_are_relative_to_where_one_is(two):
    assert well("list-frames", input=f"frames/{two[0].name}\n", cwd=two[0].parents[1]) == lines(two[0])


def test_what_it_prints_it_reads_again(tmp_path):
    for k, folder in enumerate(("plain", "a b", "V1:x", "50%25", "é")):
        stub(tmp_path / folder, START + 100 * k)
    out = well("list-frames", tmp_path)
    assert len(out.splitlines()) == 5
    assert well("list-frames", input=out) == out


def test_a_table_is_read_again_as_it_is_even_when_the_files_have_changed(tmp_path):
    made = [stub(tmp_path, START, 100), stub(tmp_path, START, 300), stub(tmp_path, START + 50, 100)]
    gone = f"{tmp_path}/V-trend-{START + 300}-100.gwf"
    out = well("list-frames", "--table", input="".join(f"{path}\n" for path in [*made, gone]))
    assert [line.split("\t")[5] for line in out.splitlines()] == ["used", "duplicate", "covered", "absent"]
    for path in made:
        path.unlink()
    assert well("list-frames", "--table", input=out) == out
    assert run("list-frames", input=out)[1] == f"{made[1]} {START} 300 0 0\n"


# What becomes of the files


def test_a_table_tells_what_is_on_the_disk(tmp_path):
    path = stub(tmp_path, size=77)
    os.utime(path, ns=(10**18 + 1, 10**18 + 1))
    assert well("list-frames", "--table", path) == f"{path}\t{START}\t100\t77\t{10**18 + 1}\tused\n"


def test_an_absent_file_is_told_and_left_out(listed, two, tmp_path):
    gone = tmp_path / f"V-trend-{START + 200}-100.gwf"
    status, out, told = run("list-frames", listed(*two, gone))
    assert (status, out) == (0, lines(*two))
    assert told == f"list-frames: listed but absent: {str(gone)!r}\n"


def test_an_absent_file_has_its_place_in_the_table(listed, two, tmp_path):
    gone = tmp_path / f"V-trend-{START + 200}-100.gwf"
    out = well("list-frames", "--table", listed(*two, gone))
    assert out.splitlines()[2] == f"{gone}\t{START + 200}\t100\t-1\t-1\tabsent"


def test_of_duplicates_one_is_printed(listed, tmp_path):
    short, long, empty = stub(tmp_path, START, 100), stub(tmp_path, START, 200), stub(tmp_path, START, 300, size=0)
    gone = tmp_path / f"V-trend-{START}-400.gwf"
    ffl = listed(short, long, empty, gone)
    assert table(ffl) == {short.name: "duplicate", long.name: "used", empty.name: "duplicate", gone.name: "absent"}
    assert run("list-frames", ffl)[1] == lines(long, duration=200)


def test_a_covered_file_is_not_printed(listed, tmp_path):
    whole, part = stub(tmp_path, START, 3600), stub(tmp_path, START + 600, 600)
    assert table(listed(part, whole)) == {whole.name: "used", part.name: "covered"}
    assert well("list-frames", tmp_path / "some.ffl") == lines(whole, duration=3600)


# Windows


def test_a_day_takes_the_files_that_overlap_it(listed, tmp_path):
    spans = [(START - 200, 100), (START - 100, 100), (START - 50, 100), (START + 50, 100), (END - 1, 100), (END, 100)]
    made = [stub(tmp_path, *span) for span in spans]
    inside = list(zip(made, spans, strict=True))[2:5]
    wanted = "".join(f"{path} {start} {length} 0 0\n" for path, (start, length) in inside)
    assert well("list-frames", listed(*made), "--day", DAY) == wanted
    assert well("list-frames", tmp_path, "--day", DAY) == wanted
    assert well("list-frames", tmp_path, "--start", DAY, "--end", "2024-04-11T00:00:00") == wanted
    assert well("list-frames", tmp_path, "--start", str(START), "--end", str(END)) == wanted


def test_virgos_day_long_files_are_two_a_day(listed, tmp_path):
    made = [stub(tmp_path, start, 86400) for start in range(START - 18 - 86400, END + 86400, 86400)]
    assert well("list-frames", tmp_path, "--day", DAY) == lines(*made[1:3], start=START - 18, duration=86400)


def test_a_leap_second_belongs_to_the_day_before(tmp_path):
    second = stub(tmp_path, 1167264017, 1)
    assert well("list-frames", tmp_path, "--day", "2016-12-31") == lines(second, start=1167264017, duration=1)
    assert "no frame of 2017-01-01 in" in refused("list-frames", tmp_path, "--day", "2017-01-01")


def test_the_host_may_be_in_any_time_zone(tmp_path):
    path = stub(tmp_path)
    for zone in ("Asia/Tokyo", "America/Los_Angeles"):
        assert well("list-frames", tmp_path, "--day", DAY, env={"TZ": zone}) == lines(path)


def test_a_span_without_a_frame_is_an_error(listed, two):
    assert "2024-04-12" in refused("list-frames", listed(*two), "--day", "2024-04-12")


@pytest.mark.slow
def test_a_long_list_gives_its_day(tmp_path):
    path = stub(tmp_path)
    first = START - 18 - 100 * 100_000
    text = "".join(f"{path} {first + 100 * k} 100 0 0\n" for k in range(200_000))
    out = well("list-frames", "--day", DAY, input=text).splitlines()
    starts = range(START - 18, END, 100)
    assert out == [f"{path} {start} 100 0 0" for start in starts]


# Paths


def test_a_path_with_spaces(listed, tmp_path):
    made = [stub(tmp_path / "a  b c", START), stub(tmp_path / "run 1 of 2", START + 100)]
    full = well("list-frames", tmp_path)
    assert full == lines(*made)
    assert well("list-frames", listed(full, end="")) == full
    assert well("list-frames", listed(*made), "--day", DAY) == full


def test_a_path_with_numbers_between_spaces_is_not_lost(listed, tmp_path):
    path = stub(tmp_path / "run 2024 04 x")
    assert well("list-frames", listed(lines(path), end=""), "--day", DAY) == lines(path)


def test_a_path_with_colons_dots_and_dashes(listed, tmp_path):
    path = stub(tmp_path / "V1:trend-100.s", name=f"V-V1:trend-x.y-{START}-100.gwf")
    assert well("list-frames", listed(path)) == lines(path)
    assert well("list-frames", tmp_path) == lines(path)


def test_a_path_that_is_no_utf_8(tmp_path):
    path = stub(tmp_path / "caf\udce9")
    for env in ({}, {"PYTHONIOENCODING": "utf-8:strict"}):
        assert well("list-frames", tmp_path, env=env) == lines(path)
        assert well("list-frames", "-", input=lines(path), env=env) == lines(path)


def test_a_path_with_a_line_end_is_refused(tmp_path):
    stub(tmp_path / "a\nb")
    assert "line end" in refused("list-frames", "--table", tmp_path)
    assert "line end" in refused("list-frames", tmp_path)


# What is wrong is told


def test_a_junk_line_is_told_with_its_number_and_the_rest_is_used(listed, two):
    ffl = listed(str(two[0]), "", "what is this", str(two[1]))
    status, out, told = run("list-frames", ffl)
    assert (status, out) == (0, lines(*two))
    assert told == f"list-frames: line 3 of {str(ffl)!r} is no frame: 'what is this'\n"


@pytest.mark.parametrize("span", ["100 0", "100 -5", "nan 100", "100 nan"])
def test_a_line_without_a_span_is_told(listed, two, span):
    status, out, told = run("list-frames", listed(f"{two[0]} {span} 0 0", two[1]))
    assert (status, out) == (0, lines(two[1], start=START + 100))
    assert "line 1 of" in told


def test_a_thousand_junk_lines_are_not_a_thousand_messages(listed, two):
    status, out, told = run("list-frames", listed(*["junk"] * 1000, two[0]))
    assert (status, out) == (0, lines(two[0]))
    assert told.count("\n") == 11 and "990 more" in told


@pytest.mark.parametrize("text", ["junk\n", "<html>\n<p>404 not found\n</html>\n"])
def test_a_file_without_a_valid_line_is_an_error(listed, text):
    status, out, told = run("list-frames", listed(text, end=""))
    assert (status, out) == (1, "")
    assert told.splitlines()[-1].startswith("list-frames: no line is a frame in list: ")
    assert "Traceback" not in told


def test_an_empty_list_is_an_error(listed):
    assert "no frame in" in refused("list-frames", listed())
    refused("list-frames", input="")


@pytest.mark.parametrize("head", [b"IGWD\0\x08\x04", b"\x89HDF\r\n\x1a\n", b"\x1f\x8b\x08\0", b"\0\0\0"])
def test_a_binary_file_is_not_a_list(tmp_path, head):
    path = tmp_path / "some.ffl"
    path.write_bytes(head + bytes(range(256)) * 20)
    assert "not a list of frames" in refused("list-frames", path)


def test_a_frame_file_with_another_name_is_not_a_list(tmp_path):
    path = frame_file(tmp_path, START, 1).rename(tmp_path / "some.ffl")
    assert "not a list of frames" in refused("list-frames", path)


def test_binary_standard_input_is_not_a_list():
    refused("list-frames", input="IGWD\0\x08\x04\udcff\udcfe\n\0\0")


@pytest.mark.parametrize("name", ["absent.ffl", "absent/", "absent folder"])
def test_an_absent_source_is_an_error_that_names_it(tmp_path, name):
    assert "absent" in refused("list-frames", f"{tmp_path}/{name}")


def test_one_frame_file_whose_name_tells_nothing_is_an_error(tmp_path):
    assert "online.gwf" in refused("list-frames", stub(tmp_path, name="online.gwf"))


@pytest.mark.parametrize("day", ["2024-02-30", "x", "1979-01-01", "2024-4-10", ""])
def test_a_bad_day_is_an_error(two, day):
    assert repr(day) in refused("list-frames", two[0], "--day", day)


@pytest.mark.parametrize(
    "span",
    [
        ("--start", "5"),
        ("--end", "5"),
        ("--start", "9", "--end", "9"),
        ("--start", "10", "--end", "9"),
        ("--start", "1.5", "--end", "9"),
        ("--day", DAY, "--start", "5"),
    ],
)
def test_a_bad_span_is_an_error(two, span):
    refused("list-frames", two[0], *span)


@pytest.mark.parametrize("option", [("--nonsense",), ("a", "b"), ("--day",)])
def test_wrong_usage_is_status_2_and_one_line(option):
    refused("list-frames", *option, status=2)


# How it behaves among other tools


@pytest.mark.slow
def test_a_reader_that_has_enough_is_no_error(tmp_path):
    needs("bash", "head")
    path = stub(tmp_path)
    ffl = tmp_path / "long.ffl"
    ffl.write_text("".join(f"{path} {START + 100 * k} 100 0 0\n" for k in range(100_000)))
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"{BIN}/list-frames" "$1" | head -1', "-", ffl],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, lines(path), "")


def test_update_leaves_a_file_alone_that_has_not_changed(two, tmp_path):
    made = tmp_path / "frames.ffl"
    assert well("list-frames", two[0].parent, "--update", made) == ""
    assert made.read_text() == lines(*two)
    os.utime(made, ns=(10**18, 10**18))
    inode = made.stat().st_ino
    well("list-frames", two[0].parent, "--update", made)
    assert (made.stat().st_mtime_ns, made.stat().st_ino) == (10**18, inode)
    third = stub(two[0].parent, START + 200)
    well("list-frames", two[0].parent, "--update", made)
    assert made.read_text() == lines(*two, third)


def test_a_failure_leaves_the_old_file(two, tmp_path):
    made = tmp_path / "frames.ffl"
    made.write_text("old\n")
    refused("list-frames", tmp_path / "absent", "--update", made)
    assert made.read_text() == "old\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "frames.ffl"]


def test_it_works_through_a_symlink_from_another_folder(two, tmp_path):
    link = tmp_path / "lf"
    link.symlink_to(BIN / "list-frames")
    assert well(str(link), two[0].parent, cwd="/") == lines(*two)


def test_help_is_what_stands_at_its_head():
    out = well("list-frames", "--help")
    assert "list-frames trend.ffl --day 2024-04-10" in out
