"""bin/read-config: the TOML files in use, every key with its meaning, as shell code; what is wrong is named."""

import os
import subprocess
import sys
import tempfile

import pytest
from framemake import settings
from framemake.errors import BadInput
from support.commands import BIN, ROOT, refused, run, well

# Files as people have them: every key of the converter's own, in words of the tests.
WORKER = """
start_dt = "2024-04-10"
end_dt   = "2024-04-11"

channels_file = "channels/o4_channels.txt"
ffl_spec      = "V1trend"
ffl_path      = "lists/trend.ffl"

out_root = "data/o4_trend_h5"

resume = true
log_level = "INFO"

increment_size = 600
max_retries = 3
compression = "lzf"
produce_summary = true
worker_path = "scripts/convert_one_day.py"
"""
RANGE = """
start_date = "2024-04-10"
end_date   = "2025-11-18"
channels_file = "channels/o4_channels.txt"
ffl_spec      = "V1trend"
ffl_path      = "lists/trend.ffl"
out_dir = "data/o4_trend_h5"
resume = true
log_level = "INFO"
increment_size = 600
concurrency = 8
stagger_seconds = 5
max_retries = 3
mem_guard_mb = 0
dry_run = false
limit_days = 0
minutes_per_day = 0
compression = "lzf"
produce_summary = true
worker_path = "./scripts/convert_one_day.py"
"""
MIDNIGHT, NEXT = 1396742418, 1396828818


@pytest.fixture(autouse=True)
def nothing_typed(monkeypatch):
    """No variable of ours comes from whoever runs the tests."""
    for name in ("GIVEN", *settings.VARIABLES):
        monkeypatch.delenv(name, raising=False)


def told(text, purpose="day"):
    """The variables that a file's text gives; the same that the process prints, which other tests run."""
    return settings.variables(parsed(text, purpose), purpose)


def parsed(text, purpose):
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        return settings.read(file.name, purpose)


def evaluated(text, purpose="day", **environment):
    """The variables that bash has after eval of what the process prints; environment: GIVEN and what was typed."""
    code = well("read-config", "-", "--for", purpose, input=text, env=environment)
    names = [line.split()[1].partition("=")[0] for line in code.splitlines() if line.startswith("export ")]
    show = 'eval "$1"; shift; for name; do printf "%s\\0" "${!name}"; done'
    done = subprocess.run(["bash", "-ec", show, "bash", code, *names], capture_output=True, check=True, env={})
    return dict(zip(names, map(os.fsdecode, done.stdout.split(b"\0")), strict=False))


def wrong(text, purpose="day"):
    """The message with which a file's text is refused."""
    with pytest.raises(BadInput) as error:
        told(text, purpose)
    return str(error.value)


# --- every key -------------------------------------------------------------------------------


def test_a_worker_file_in_use():
    assert evaluated(WORKER) == {
        "DAY": "2024-04-10",
        "CHANNELS": "channels/o4_channels.txt",
        "FFL": "lists/trend.ffl",
        "SPEC": "V1trend",
        "OUT": "data/o4_trend_h5",
        "INCREMENT": "600",
        "COMPRESSION": "lzf",
        "MAX_RETRIES": "3",
        "RESUME": "yes",
        "LOG_LEVEL": "INFO",
        "SUMMARY": "yes",
    }


def test_a_range_file_in_use():
    assert evaluated(RANGE, "range") == {
        "START": "2024-04-10",
        "END": "2025-11-18",
        "CHANNELS": "channels/o4_channels.txt",
        "FFL": "lists/trend.ffl",
        "SPEC": "V1trend",
        "OUT": "data/o4_trend_h5",
        "INCREMENT": "600",
        "MAX_RETRIES": "3",
        "RESUME": "yes",
        "LOG_LEVEL": "INFO",
        "CONCURRENCY": "8",
        "STAGGER": "5",
        "MEM_GUARD": "0",
        "DRY_RUN": "no",
        "LIMIT_DAYS": "",
        "MINUTES": "",
        "COMPRESSION": "lzf",
        "SUMMARY": "yes",
    }


def test_the_order_is_fixed():
    lines = WORKER.strip().splitlines()
    one = well("read-config", "--for", "day", input="\n".join(lines))
    assert one == well("read-config", "--for", "day", input="\n".join(reversed(lines)))


@pytest.mark.parametrize(
    ("line", "variable", "value"),
    [
        ("resume = false", "RESUME", "no"),
        ("produce_summary = false", "SUMMARY", "no"),
        ('compression = "gzip"', "COMPRESSION", "gzip"),
        ('compression = "none"', "COMPRESSION", "none"),
        ('compression = "None"', "COMPRESSION", "none"),
        ('compression = ""', "COMPRESSION", "none"),
        ('log_level = "DEBUG"', "LOG_LEVEL", "DEBUG"),
        ('log_level = "WARN"', "LOG_LEVEL", "WARNING"),
        ('log_level = "WARNING"', "LOG_LEVEL", "WARNING"),
        ('log_level = "CRITICAL"', "LOG_LEVEL", "ERROR"),
        ("increment_size = 100", "INCREMENT", "100"),
        ("increment_size = 100.0", "INCREMENT", "100"),
        ("max_retries = 0", "MAX_RETRIES", "0"),
        ('out_dir = "elsewhere"', "OUT", "elsewhere"),
        ('out_root = "elsewhere"', "OUT", "elsewhere"),
        ('ffl_path = "gwdatafind://host:8080/V/V1trend"', "FFL", "gwdatafind://host:8080/V/V1trend"),
    ],
)
@pytest.mark.parametrize("purpose", ["day", "range"])
def test_a_key_of_both(line, variable, value, purpose):
    assert told(line, purpose) == {variable: value}


@pytest.mark.parametrize(
    ("line", "variable", "value"),
    [
        ("start_date = 2024-04-10", "START", "2024-04-10"),
        ('end_date = "2024-4-1"', "END", "2024-04-01"),
        ("concurrency = 2", "CONCURRENCY", "2"),
        ("stagger_seconds = 0.5", "STAGGER", "0.5"),
        ("stagger_seconds = 0", "STAGGER", "0"),
        ("stagger_seconds = 5.0", "STAGGER", "5"),
        ("mem_guard_mb = 2000", "MEM_GUARD", "2000"),
        ("mem_guard_mb = 0", "MEM_GUARD", "0"),
        ("dry_run = true", "DRY_RUN", "yes"),
        ("dry_run = false", "DRY_RUN", "no"),
        ("limit_days = 2", "LIMIT_DAYS", "2"),
        ("minutes_per_day = 30", "MINUTES", "30"),
        # 0 is no limit, which a make variable says by being empty.
        ("limit_days = 0", "LIMIT_DAYS", ""),
        ("minutes_per_day = 0", "MINUTES", ""),
    ],
)
def test_a_key_of_a_range(line, variable, value):
    assert told(line, "range") == {variable: value}


def test_every_key_of_the_reference_is_known(shared):
    words = (shared / "reference" / "day-dataset.md").read_text().partition("one day: ")[2].partition("## ")[0]
    day, _, many = words.partition("range: ")
    for text, purpose in ((day, "day"), (many, "range")):
        named = {
            word
            for word in text.replace("(", " ").replace(")", " ").split()
            if ("_" in word and "." not in word) or word == "duration"
        }
        assert len(named) > 10 and named <= settings.KEYS[purpose].keys()


# --- the window of a day ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'start_dt = "2024-04-10 00:00:00"\nend_dt = "2024-04-11 00:00:00"',
        'start_dt = "2024-04-10T00:00"\nend_dt = "2024-04-11T00:00:00Z"',
        'start_dt = "10-04-2024"\nend_dt = "11-04-2024"',
        "start_dt = 2024-04-10\nend_dt = 2024-04-11",
        "start_dt = 2024-04-10T00:00:00\nend_dt = 2024-04-11T00:00:00Z",
        "start_dt = 2024-04-10T02:00:00+02:00\nend_dt = 2024-04-10T19:00:00-05:00",
        'start_dt = "2024-04-10T02:00:00+02:00"\nend_dt = 2024-04-11',
        'start_dt = "2024-04-10"\nduration = 86400',
        'end_dt = "2024-04-11"\nduration = 86400',
        f"start_gps = {MIDNIGHT}\nend_gps = {NEXT}",
        f"start_gps = {MIDNIGHT}\nduration = 86400",
        f"end_gps = {NEXT}\nduration = 86400",
        f'start_dt = "2024-04-10"\nend_gps = {NEXT}',
        f'start_dt = "2024-04-10"\nstart_gps = {MIDNIGHT}\nend_dt = "2024-04-11"\nduration = 86400',
    ],
)
def test_all_ways_to_say_one_day(text):
    assert told(text) == {"DAY": "2024-04-10"}


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ('start_dt = "2024-04-10 06:00:00"\nend_dt = "2024-04-10 07:30"', "2024-04-10T06:00:00", "2024-04-10T07:30:00"),
        ('start_dt = "2024-04-10"\nend_dt = "2024-04-12"', "2024-04-10T00:00:00", "2024-04-12T00:00:00"),
        ('start_dt = "2024-04-10 12:00"\nend_dt = "2024-04-11 12:00:00"', "2024-04-10T12:00:00", "2024-04-11T12:00:00"),
        (f"start_gps = {MIDNIGHT}\nduration = 7200", str(MIDNIGHT), str(MIDNIGHT + 7200)),
        (f"start_gps = {MIDNIGHT + 1}\nend_gps = {NEXT + 1}", str(MIDNIGHT + 1), str(NEXT + 1)),
        ('end_dt = "2024-04-11"\nduration = 60', str(NEXT - 60), str(NEXT)),
    ],
)  # fmt: skip
def test_another_window_is_exactly_that(text, start, end):
    assert told(text) == {"START": start, "END": end}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        # The day that ended with the leap second has 86401 seconds.
        ('start_dt = "2016-12-31"\nend_dt = "2017-01-01"', {"DAY": "2016-12-31"}),
        ('start_dt = "2016-12-31"\nduration = 86401', {"DAY": "2016-12-31"}),
        ('start_dt = "2016-12-31"\nduration = 86400', {"START": "1167177617", "END": "1167264017"}),
        (
            'start_dt = "2016-12-31"\nend_dt = "2016-12-31 23:59:60"',
            {"START": "2016-12-31T00:00:00", "END": "2016-12-31T23:59:60"},
        ),
    ],
)
def test_a_leap_second_is_a_second(text, want):
    assert told(text) == want


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('start_dt = "2024-04-10"', ("two of start, end and duration", "start_dt")),
        ("duration = 60", ("two of start, end and duration", "duration = 60")),
        ('start_dt = "2024-04-10"\nstart_gps = 1396742418', ("two of start, end and duration", "start_gps")),
        ('start_dt = "2024-04-11"\nend_dt = "2024-04-10"', ("empty", "2024-04-11", "2024-04-10")),
        ("start_gps = 5\nend_gps = 5", ("empty", "start_gps = 5")),
        ("end_gps = 5\nduration = 10", ("outside GPS time", "duration = 10")),
        (
            f'start_dt = "2024-04-10"\nstart_gps = {MIDNIGHT + 1}\nduration = 5',
            ("start_dt and start_gps", "not the same", str(MIDNIGHT + 1)),
        ),
        ('start_dt = "2024-04-10"\nend_dt = "2024-04-11"\nduration = 600', ("duration", "86400 s", "600")),
        ('start_dt = "2016-12-31 23:59:61"\nend_dt = "2017-01-02"', ("start_dt", "23:59:61")),
        ('start_dt = "2024-04-10 23:59:60"\nend_dt = "2024-04-12"', ("start_dt", "23:59:60")),
    ],
)
def test_a_window_that_is_none_is_refused(text, words):
    line = wrong(text)
    assert all(word in line for word in words), line


# --- what was typed wins ---------------------------------------------------------------------


def test_what_was_typed_is_left_out():
    got = evaluated(WORKER, GIVEN="CONFIG OUT INCREMENT", OUT="mine")
    assert not got.keys() & {"OUT", "INCREMENT"} and got["DAY"] == "2024-04-10" and got["FFL"] == "lists/trend.ffl"


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("DAY", {}),
        ("START END", {}),
        ("START", {"END": "2024-04-11T00:00:00"}),
        ("END", {"START": "2024-04-10T00:00:00"}),
    ],
)
def test_a_typed_window_replaces_what_it_names(given, left):
    window = {"start_dt": "2024-04-10", "end_dt": "2024-04-11"}
    assert settings.variables(window, "day", given.split()) == left


def test_a_typed_end_of_a_range_replaces_the_end_alone():
    got = evaluated(RANGE, "range", GIVEN="END")
    assert got["START"] == "2024-04-10" and "END" not in got


# --- an ffl_spec without a list, a list without an ffl_spec ----------------------------------


def test_a_spec_alone_is_virgos_own_list():
    assert evaluated('ffl_spec = "V1raw"') == {"SPEC": "V1raw", "FFL": settings.LISTS["V1raw"]}
    assert settings.site_lists({"SPEC": "ours"}, {}) == {}


def test_a_typed_spec_names_its_list():
    got = evaluated('ffl_spec = "V1trend"', GIVEN="SPEC", SPEC="V1raw")
    assert got == {"FFL": settings.LISTS["V1raw"]}


def test_virgos_own_list_alone_is_its_spec():
    assert evaluated('ffl_path = "/there/raw.ffl"') == {"FFL": "/there/raw.ffl", "SPEC": "V1raw"}
    assert settings.site_lists({"FFL": "/there/trend100s.ffl"}, {}) == {"SPEC": "V1trend100"}
    assert settings.site_lists({"FFL": "/there/other.ffl"}, {}) == {}
    assert settings.site_lists({}, {"FFL": "/there/raw.ffl"}, ["FFL"]) == {"SPEC": "V1raw"}
    # A site's own default, which nobody typed, is not looked at.
    assert settings.site_lists({}, {"FFL": "/there/raw.ffl"}) == {}


def test_a_typed_list_or_spec_is_never_replaced():
    assert settings.site_lists({"SPEC": "V1raw"}, {"FFL": "mine"}, ["FFL"]) == {}
    assert settings.site_lists({"SPEC": "V1raw"}, {"FFL": ""}, ["FFL"]) == {}
    assert settings.site_lists({"FFL": "raw.ffl"}, {"SPEC": "V1x"}, ["SPEC"]) == {}


def test_a_sites_own_list_stays_where_virgos_are_not(tmp_path, monkeypatch):
    monkeypatch.setitem(settings.LISTS, "V1raw", str(tmp_path / "raw.ffl"))
    assert settings.site_lists({"SPEC": "V1raw"}, {"FFL": "ours.ffl", "SPEC": "V1trend"}) == {}
    (tmp_path / "raw.ffl").touch()
    # Raw frames are not in a site's list of trend frames.
    assert settings.site_lists({"SPEC": "V1raw"}, {"FFL": "ours.ffl"}) == {"FFL": str(tmp_path / "raw.ffl")}


# --- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["day", "range"])
def test_keys_may_stand_in_a_table_of_its_name(purpose):
    assert told(f'ffl_spec = "V1x"\n[{purpose}]\nresume = true', purpose) == {"SPEC": "V1x", "RESUME": "yes"}


def test_a_key_of_both_places_is_refused():
    line = wrong("resume = true\n[day]\nresume = false")
    assert "both at the top and in [day]" in line and "resume = false" in line


@pytest.mark.parametrize("text", ["[range]\nconcurrency = 2", "[days]\nresume = true", "day = 5"])
def test_another_table_is_refused(text):
    assert text.split()[0].strip("[]") in wrong(text)


def test_a_file_of_dos_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "dos.toml"
    path.write_bytes(b"\xef\xbb\xbf" + WORKER.replace("\n", "\r\n").encode())
    assert well("read-config", path, "--for", "day") == well("read-config", "--for", "day", input=WORKER)


def test_nothing_in_a_value_reaches_the_shell(tmp_path):
    odd = "a b $(touch owned) `touch owned`; touch owned & 'q' \"q\" \\ * ~ $HOME é \udce9 #!-x"
    escaped = odd.replace("\\", "\\\\").replace('"', '\\"')
    assert evaluated(f'channels_file = "{escaped}"\nout_root = "-x"') == {"CHANNELS": odd, "OUT": "-x"}
    (tmp_path / "s.toml").write_text("channels_file = '$(touch owned)'\nstart_gps = 1\nduration = 5\n")
    script = 'settings=$("$1" s.toml --for day); eval "$settings"; printf "%s|%s|%s" "$CHANNELS" "$START" "$END"'
    command = ["bash", "-euc", script, "bash", BIN / "read-config"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "$(touch owned)|1|6" and [p.name for p in tmp_path.iterdir()] == ["s.toml"]


# --- what is wrong is named ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "purpose", "words"),
    [
        ("increment_sise = 600", "day", ("no such key", "increment_size is meant", "increment_sise = 600")),
        ("zzz = 1", "day", ("no such key of a day:", "zzz = 1")),
        ("concurrency = 8", "day", ("belongs to a range", "concurrency = 8")),
        ('start_date = "2024-04-10"', "day", ("belongs to a range", "start_date = 2024-04-10")),
        ('start_dt = "2024-04-10"', "range", ("belongs to a day", "start_dt")),
        ("duration = 60", "range", ("belongs to a day", "duration = 60")),
        ('increment_size = "600"', "day", ("increment_size must be a whole number from 1", "'600'")),
        ("increment_size = 0", "day", ("increment_size", "'0'")),
        ("increment_size = 1.5", "day", ("increment_size", "'1.5'")),
        ("increment_size = nan", "day", ("increment_size", "'nan'")),
        ("increment_size = true", "day", ("increment_size", "'true'")),
        ("max_retries = -1", "range", ("max_retries", "from 0", "'-1'")),
        ("max_retries = 99999999999", "range", ("max_retries", "99999999999")),
        ('resume = "true"', "day", ("resume must be true or false", "'true'")),
        ("dry_run = 1", "range", ("dry_run must be true or false", "'1'")),
        ('compression = "zip"', "day", ("compression must be lzf, gzip or none", "'zip'")),
        ("compression = false", "day", ("compression", "'false'")),
        ('log_level = "LOUD"', "day", ("log_level must be DEBUG, INFO, WARNING or ERROR", "'LOUD'")),
        ('ffl_spec = "../up"', "day", ("ffl_spec", "'../up'")),
        ('ffl_path = ""', "day", ("ffl_path", "''")),
        ('ffl_path = " x"', "day", ("ffl_path", "white space", "' x'")),
        ('ffl_path = "x\\ny"', "day", ("ffl_path", "control characters")),
        ('ffl_path = "x\\u0000y"', "day", ("ffl_path", "control characters")),
        ("channels_file = 5", "day", ("channels_file", "'5'")),
        ('channels_file = ["a"]', "day", ("channels_file",)),
        ("out_root = {a = 1}", "day", ("out_root",)),
        ('out_root = "a"\nout_dir = "b"', "day", ("out_root and out_dir differ",)),
        ('start_dt = "yesterday"', "day", ("start_dt", "'yesterday'")),
        ('start_dt = "2024-02-30"', "day", ("start_dt", "'2024-02-30'")),
        ('start_dt = "1979-12-31"', "day", ("start_dt", "1980-01-06")),
        ("start_dt = 2024-04-10T00:00:00.5Z", "day", ("start_dt", "whole second")),
        ("start_dt = 07:30:00", "day", ("start_dt", "07:30:00")),
        ("start_dt = 1396742418", "day", ("start_dt", "'1396742418'")),
        ("start_gps = 1396742418.5", "day", ("start_gps", "'1396742418.5'")),
        ("start_gps = 9999999999", "day", ("start_gps", "'9999999999'")),
        ("duration = 0", "day", ("duration", "'0'")),
        ('start_date = "2024-13-01"', "range", ("start_date", "'2024-13-01'")),
        ("start_date = 2024-04-10T00:00:00", "range", ("start_date", "YYYY-MM-DD")),
        ('start_date = "2024-04-10 12:00:00"', "range", ("start_date", "YYYY-MM-DD")),
        ('start_date = "2024-04-11"\nend_date = "2024-04-10"', "range", ("range is empty", "2024-04-11")),
        ("concurrency = 0", "range", ("concurrency", "from 1", "'0'")),
        ("stagger_seconds = -1", "range", ("stagger_seconds", "'-1'")),
        ("stagger_seconds = inf", "range", ("stagger_seconds", "'inf'")),
        ("resume = true\nresume = false\n", "day", ("not TOML", "line 2")),
        ("resume = True", "day", ("not TOML", "line 1")),
        ("start_dt =\n", "day", ("not TOML", "line 1")),
        ("start_dt = 2024-02-30", "day", ("not TOML", "line 1")),
        ("a = " + "[" * 5000, "day", ("not TOML",)),
        ("increment_size = " + "9" * 5000, "day", ()),
    ],
)
def test_a_bad_file_is_refused_by_name(text, purpose, words):
    line = wrong(text, purpose)
    assert all(word in line for word in words), line
    assert len(line) < 400 and "\n" not in line


def test_one_bad_key_among_good_ones_prints_nothing():
    line = refused("read-config", "-", "--for", "day", input=WORKER.replace('"lzf"', '"lz4"'))
    assert line == "read-config: compression must be lzf, gzip or none: 'lz4'\n"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    assert "no such file or directory" in refused("read-config", tmp_path / "none.toml", "--for", "day")
    assert "is a directory" in refused("read-config", tmp_path, "--for", "day")


def test_its_purpose_must_be_said():
    status, out, line = run("read-config", "-", input="")
    assert (status, out) == (2, "") and "--for" in line
    status, out, line = run("read-config", "-", "--for", "week", input="")
    assert (status, out) == (2, "") and "week" in line


def test_a_file_without_leap_seconds_to_count_loads_no_lal():
    code = (
        "import sys; from framemake import settings as s; "
        "s.variables(s.parse(sys.stdin.read(), '-', 'day'), 'day'); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=WORKER, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "lib")},
    )  # fmt: skip
    assert not {"lal", "numpy", "h5py", "gwpy"} & {*done.stdout.split()}


def test_a_bad_window_raises_for_callers():
    with pytest.raises(BadInput, match="two of start"):
        settings.window({"start_gps": "5"})
