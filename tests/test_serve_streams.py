"""serve-streams: what its clients get, old and new, and what it does not give to anybody."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from framemake.errors import BadInput
from framemake.frames import names as channel_names
from framemake.serve import answers, app, door, protocol
from framemake.serve import server as server_module
from framemake.serve import streams as serve_streams
from framemake.serve.query import Refused
from framemake.streams import envelope, reading, records, store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from support import stream_files
from support import streams as made
from support.commands import BIN, ROOT, needs, refused
from support.serving import Server, served
from support.streams import HOUR, MINUTE, NIGHT

SEIS, RAIN, MAG = "H0:PEM-EX_SEISX", "H0:PEM-EX_RAIN", "L0:PEM-LVEA_MAGX"
SPAN = {"start": NIGHT, "end": NIGHT + 3 * HOUR}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Frames of two hours with a gap of one hour between, and the streams that were imported from them."""
    at = tmp_path_factory.mktemp("served")
    for start in (NIGHT, NIGHT + 2 * HOUR):
        made.frame(at / "frames", start, {SEIS: "f4", RAIN: "i4"})
        made.frame(at / "frames", start, {MAG: "f8"}, site="L")
    made.imported(at / "frames", at / "streams")
    return at


@pytest.fixture(scope="module")
def streams(tree):
    return tree / "streams"


@pytest.fixture(scope="module")
def server(streams):
    with served(streams) as running:
        yield running


def expected(streams, name, kind, start, end, points=None):
    """Times and values as the reader of the streams gives them, NaN as None."""
    times, held = reading.points(store.open_stream(str(streams), name), kind, start, end, points)
    return times.tolist(), [None if value != value else value for value in held.tolist()]


# What today's clients get


@pytest.mark.parametrize("suffix", (".bin", ".index.bin", ".info"))
def test_the_old_protocol_gives_the_bytes_of_each_record_of_a_file(server, streams, suffix):
    held = (streams / (SEIS + suffix)).read_bytes()
    for size in (4, 16, 25, 256):
        count = len(held) // size
        answer = server.post(file=SEIS + suffix, recsz=size, records=" ".join(map(str, range(count))))
        assert (answer.status, answer.headers["content-type"]) == (200, "application/octet-stream")
        assert answer.body == held[: count * size]


def test_a_record_outside_of_the_file_is_zeros(server, streams):
    held = (streams / f"{SEIS}.bin").read_bytes()
    last = len(held) // 25 - 1
    answer = server.post(file=f"{SEIS}.bin", recsz=25, records=f"-3 -1\n0\t{last} {last} {last + 1} {10**25}")
    none = bytes(25)
    assert answer.body == none + none + held[:25] + held[-25:] + held[-25:] + none + none
    # Half a record is none.
    assert server.post(file=f"{SEIS}.bin", recsz=256, records=f"{len(held) // 256}").body == bytes(256)


def test_no_record_asked_is_no_byte(server):
    answer = server.post(file=f"{SEIS}.bin", recsz=25, records="")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("status", "fields"),
    (
        (406, {"recsz": "25", "records": "0"}),
        (406, {"file": f"{SEIS}.bin", "records": "0"}),
        (406, {"file": f"{SEIS}.bin", "recsz": "25"}),
        (406, {"file": f"{SEIS}.bin", "recsz": "3", "records": "0"}),
        (406, {"file": f"{SEIS}.bin", "recsz": "257", "records": "0"}),
        (406, {"file": f"{SEIS}.bin", "recsz": "x", "records": "0"}),
        (406, {"file": "H0:PEM-EX_NONE.bin", "recsz": "25", "records": "0"}),
        (406, {"file": f"{SEIS}.bin", "recsz": "25", "records": "1 0"}),
        (400, {"file": f"{SEIS}.bin", "recsz": "25", "records": "1 two"}),
        (400, {"file": f"{SEIS}.bin", "recsz": "25", "records": "1.5"}),
        (413, {"file": f"{SEIS}.bin", "recsz": "256", "records": "0 " * 40_000}),
        (413, {"file": f"{SEIS}.bin", "recsz": "4", "records": "0 " * 100_001}),
    ),
)
def test_the_old_protocol_refuses_with_the_status_of_the_original(server, status, fields):
    answer = server.post(**fields)
    assert answer.status == status
    assert answer.body.count(b"\n") == 1 and b"Traceback" not in answer.body and b"<" not in answer.body


def test_another_content_type_is_406(server):
    body = f"file={SEIS}.bin&recsz=25&records=0".encode()
    assert server.ask("POST", "/", body, {"Content-Type": "text/plain"}).status == 406
    assert server.ask("POST", "/", body, {}).status == 406
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    assert server.ask("POST", "/", body, form).status == 200


def test_what_the_original_wrote_is_served_byte_for_byte(shared):
    elab = shared / "elab" / "streams"
    with served(elab) as server:
        for path in sorted(elab.glob("*.bin"))[::7] + sorted(elab.glob("*.info"))[::5]:
            held, size = path.read_bytes(), 16 if path.name.endswith(".index.bin") else 25
            size = 4 if path.suffix == ".info" else size
            count = min(5000, len(held) // size)
            answer = server.post(file=path.name, recsz=size, records=" ".join(map(str, range(count))))
            assert answer.body == held[: count * size], path.name


# The interface


def test_the_list_of_streams_tells_each_with_its_parts_and_times(server, streams):
    answer = server.get("/api/streams")
    assert answer.headers["content-type"] == "application/json"
    told = {entry["name"]: entry for entry in answer.json["streams"]}
    assert list(told) == [RAIN, SEIS, MAG]
    assert told[MAG] == {
        "name": MAG, "site": "L0", "subsystem": "PEM", "station": "LVEA", "sensor": "MAGX",
        "title": "Livingston, corner station: magnetometer X", "kind": "rms", "channel": "", "sampling": "60 s",
        "unit": "", "first": NIGHT, "last": NIGHT + 3 * HOUR - MINUTE,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "parts"),
    (
        ("H0:PEM-EX_SEISX", ("H0", "PEM", "EX", "SEISX")),
        ("H0:DMT-BRMS_PEM_LVEA_SEISX_0.03_0.1Hz", ("H0", "DMT", "LVEA", "SEISX_0.03_0.1Hz")),
        ("H1:PEM-CS_SEIS_LVEA_VERTEX_X_DQ", ("H1", "PEM", "CS", "SEIS_LVEA_VERTEX_X_DQ")),
        ("H0:GDS-EARTHQUAKE", ("H0", "GDS", "", "EARTHQUAKE")),
        ("V1:ENV_NE_SEISX", ("V1", "ENV", "NE", "SEISX")),
        ("V1:RAIN", ("V1", "", "", "RAIN")),
        ("RAIN", ("", "", "", "RAIN")),
    ),
)
def test_a_name_has_site_subsystem_station_and_sensor(name, parts):
    assert tuple(channel_names.parts(name).values()) == parts


def test_the_sampling_tells_the_samples_and_not_the_gaps(tmp_path):
    written = stream_files.Written(rate=16).file(NIGHT, 60, [1.0] * 10).file(NIGHT + 9000, 1, [1.0] * 10)
    written.file(NIGHT + 20_000, 1, [2.0] * 5).write(tmp_path, SEIS)
    (entry,) = serve_streams.ServedStreams(str(tmp_path)).listing()
    assert entry["sampling"] == "1 s, 60 s"


@pytest.mark.parametrize("kind", ("mean", "rms"))
@pytest.mark.parametrize("points", (None, 1, 7, 240, 10_000))
def test_values_are_those_of_the_reader_and_gaps_are_null(server, streams, kind, points):
    more = {} if points is None else {"points": points}
    told = server.get("/api/values", SEIS, MAG, kind=kind, **SPAN, **more).json
    assert (told["kind"], told["start"], told["end"]) == (kind, SPAN["start"], SPAN["end"])
    assert [series["name"] for series in told["series"]] == [SEIS, MAG]
    for series in told["series"]:
        times, held = expected(streams, series["name"], kind, *SPAN.values(), points)
        assert (series["times"], series["values"]) == (times, held)
    assert points in (1, None) or None in told["series"][0]["values"]


def test_a_span_is_gps_or_utc(server):
    gps = server.get("/api/values", SEIS, start=1148000417, end=1148004017, points=5).json
    utc = server.get("/api/values", SEIS, start="2016-05-23T01:00:00", end="2016-05-23T02:00:00", points=5).json
    assert gps == utc


def test_a_time_is_told_both_ways_with_leap_seconds(server):
    assert server.get("/api/time", t="2016-12-31T23:59:60").json["gps"] == 1167264017
    told = server.ask("GET", "/api/time?t=1167264017&t=1167264016&t=3.25").json
    assert (told["gps"], told["utc"]) == (1167264017, "2016-12-31T23:59:60")
    assert told["times"][1:] == [
        {"gps": 1167264016, "utc": "2016-12-31T23:59:59"}, {"gps": 3.25, "utc": "1980-01-06T00:00:03.25"},
    ]  # fmt: skip


def test_csv_has_the_same_as_json(server):
    told = server.get("/api/values", SEIS, RAIN, points=6, **SPAN).json
    by_name = server.get("/api/values", SEIS, RAIN, points=6, format="csv", **SPAN)
    by_type = server.get("/api/values", SEIS, RAIN, points=6, headers={"Accept": "text/csv"}, **SPAN)
    assert by_name.body == by_type.body and by_name.headers["content-type"].startswith("text/csv")
    saved = "H0_PEM-EX_SEISX_and_1_more_mean_20160523T005943_20160523T035943.csv"
    assert by_name.headers["content-disposition"] == f'attachment; filename="{saved}"'
    rows = list(csv.reader(io.StringIO(by_name.body.decode())))
    assert rows[0] == ["name", "unit", "gps", "mean"] and len(rows) == 13
    found = [(name, float(time), float(value) if value else None) for name, _, time, value in rows[1:]]
    assert found == [(s["name"], t, v) for s in told["series"] for t, v in zip(s["times"], s["values"], strict=True)]
    assert None in told["series"][0]["values"]
    listing = list(csv.DictReader(io.StringIO(server.get("/api/streams", format="csv").body.decode())))
    assert [entry["name"] for entry in listing] == [RAIN, SEIS, MAG]


def test_a_sheet_has_utc_gps_and_the_unit_in_the_head_of_each_column(server):
    told = server.get("/api/values", SEIS, MAG, points=6, kind="rms", **SPAN).json["series"]
    answer = server.get("/api/values", SEIS, MAG, points=6, kind="rms", format="sheet", **SPAN)
    rows = list(csv.reader(io.StringIO(answer.body.decode())))
    heads = [f"{each['name']} rms ({each['unit'] or 'no unit'})" for each in told]
    assert rows[0] == ["UTC", "GPS (s)", *heads]
    assert rows[1][0] == "2016-05-23 00:59:43" and len(rows) == 7
    assert [float(row[1]) for row in rows[1:]] == told[0]["times"]
    for at, series in enumerate(told):
        assert [float(row[2 + at]) if row[2 + at] else None for row in rows[1:]] == series["values"]
    banded = server.get("/api/values", SEIS, points=6, band=1, format="sheet", **SPAN).body.decode()
    assert banded.count("of mean (") == 2


def test_a_head_of_a_sheet_is_no_formula_and_a_file_name_is_plain():
    zero = np.zeros(1)
    made = answers.as_sheet([("=HYPERLINK(1)", zero, zero)], "x").get_data(as_text=True)
    assert made.startswith("UTC,GPS (s),'=HYPERLINK(1)\n")
    name = answers.file_name(['../H0:"x"\r\n/é'], "rms", 0, 1)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name)


@pytest.mark.parametrize("kind", ("mean", "rms"))
def test_a_band_holds_every_sample_and_is_not_there_unasked(server, streams, kind):
    for points in (None, 3, 40, 300):
        more = {} if points is None else {"points": points}
        plain = server.get("/api/values", SEIS, kind=kind, **SPAN, **more).json["series"][0]
        (told,) = server.get("/api/values", SEIS, kind=kind, band=1, **SPAN, **more).json["series"]
        assert {key: told[key] for key in plain} == plain and set(told) - set(plain) == {"min", "max"}
        times, held = reading.points(store.open_stream(str(streams), SEIS), kind, *SPAN.values())
        for at, begin in enumerate(told["times"]):
            end = told["times"][at + 1] if at + 1 < len(told["times"]) else SPAN["end"]
            inside = held[(times >= begin) & (times < end) & ~np.isnan(held)]
            if len(inside):
                assert (told["min"][at], told["max"][at]) == (inside.min(), inside.max())
    assert "band is 1 or 0" in server.get("/api/values", SEIS, band=2, **SPAN).error


def test_the_table_of_names_is_whole():
    lines = [line for table in channel_names.TABLES for line in Path(table).read_text().splitlines()]
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert {row[0] for row in rows} == {"site", "subsystem", "station", "sensor", "channel"} and len(rows) > 200
    assert len({(row[0], row[1]) for row in rows}) == len(rows)
    assert all(len(row) in (3, 4) and all(row) and row[3:] in ([], ["rms"], ["mean"]) for row in rows)
    for part, name, channel in (row for row in rows if row[0] == "channel"):
        assert part and channel.split(":")[0] in ("H1", "L1") and all(channel_names.parts(name).values())


def test_what_people_type_is_told_as_a_span(server):
    told = server.get("/api/span", **{"from": "March 2018"}).json
    assert (told["start"], told["end"]) == (1203897618, 1206576018)
    assert server.get("/api/span").json["start"] is None
    answer = server.get("/api/span", **{"from": "01/02/2017"})
    assert answer.status == 400 and "2017-01-02; 2017-02-01" in answer.error
    assert answer.headers["cache-control"] == "no-store"
    back = server.get("/api/span", **{"from": "-1d"}).json
    assert back["end"] - back["start"] == 86400 and back["end"] == back["now"]


@pytest.mark.parametrize(
    ("name", "title", "kind", "channel"),
    (
        ("H0:PEM-EX_SEISX", "Hanford, end station X: seismometer X", "rms", "H1:PEM-EX_SEIS_VEA_FLOOR_X_DQ"),
        ("H0:DMT-BRMS_PEM_LVEA_SEISZ_0.03_0.1Hz",
         "Hanford, corner station: seismometer Z (up and down), 0.03 to 0.1 Hz", "mean",
         "H1:PEM-CS_SEIS_LVEA_VERTEX_Z_BLRMS_30MHZ100"),
        ("L0:PEM-EX_RAIN", "Livingston, end station X: rain gauge", "mean", ""),
        ("H1:PEM-CS_SEIS_LVEA_VERTEX_X_DQ", "Hanford, corner station: environment, SEIS_LVEA_VERTEX_X_DQ", "rms", ""),
        ("V1:Sa_NE_BR_LVDT1_mean", "Virgo, north end: superattenuator suspension, BR_LVDT1_mean", "mean", ""),
        ("V1:ENV_CEB_SEISZ", "Virgo, central building: seismometer Z (up and down)", "rms", ""),
        ("V1:NO_SUCH_THING", "", "mean", ""),
        ("X9:PEM-Q_SEISX", "X9, Q: seismometer X", "rms", ""),
        ("<b>", "", "mean", ""),
    ),
)  # fmt: skip
def test_a_name_is_told_in_words_with_the_value_that_tells_most(name, title, kind, channel):
    assert channel_names.told(name) == {"title": title, "kind": kind, "channel": channel}


@pytest.mark.parametrize(
    ("path", "status", "words"),
    (
        ("/api/values?start=1&end=2", 400, "parameter missing: 'name'"),
        (f"/api/values?name={SEIS}&start=1", 400, "parameter missing: 'end'"),
        (f"/api/values?name={SEIS}&start=2&end=2", 400, "the span is empty"),
        (f"/api/values?name={SEIS}&start=x&end=2", 400, "no such time"),
        (f"/api/values?name={SEIS}&start={'9' * 400}&end=2", 400, "no such time"),
        (f"/api/values?name={SEIS}&start=1&end=9999-01-01", 400, "no such time"),
        (f"/api/values?name={SEIS}&start=1&end=2147483648", 400, "no such time"),
        (f"/api/values?name={SEIS}&start=1&start=1&end=2", 400, "given 2 times"),
        (f"/api/values?name={SEIS}&start=1&end=2&kind=max", 400, "no such kind"),
        (f"/api/values?name={SEIS}&start=1&end=2&points=0", 400, "points is from 1 to 10000"),
        (f"/api/values?name={SEIS}&start=1&end=2&points=10001", 400, "points is from 1 to 10000"),
        (f"/api/values?name={SEIS}&start=1&end=2&points=1e3", 400, "points is from 1 to 10000"),
        (f"/api/values?name={SEIS}&start=1&end=2&pionts=5", 400, "no such parameter"),
        (f"/api/values?name={SEIS}&start=1&end=2&format=xml", 400, "no such format"),
        ("/api/values?" + "&".join(f"name=S{k}" for k in range(17)) + "&start=1&end=2", 400, "at most 16 names"),
        (
            f"/api/values?name={SEIS}&name={RAIN}&name={MAG}&name=a&name=b&name=c&start=1&end=2&points=10000",
            400,
            "50000",
        ),
        (f"/api/values?name={'N' * 17_000}&start=1&end=2", 414, "longer than"),
        ("/api/values?name=H0:NONE&start=1&end=2", 404, "no such stream: 'H0:NONE'"),
        ("/api/time", 400, "1 to 1000 times"),
        ("/api/none", 404, "no such address"),
        ("/api/days?x=1", 400, "no such parameter"),
        ("/api/day-values?name=a&start=1&end=2", 404, "no day datasets"),
    ),
)
def test_a_wrong_request_gets_one_line_that_says_why(server, path, status, words):
    answer = server.ask("GET", path)
    assert answer.status == status and words in answer.error and "\n" not in answer.error
    assert str(ROOT) not in answer.error and answer.headers["x-content-type-options"] == "nosniff"


def test_the_description_is_there(server):
    text = server.get("/api").body.decode()
    for path in (
        "/api/streams",
        "/api/values",
        "/api/days",
        "/api/channels",
        "/api/day-values",
        "/api/time",
        "/health",
    ):
        assert f"GET {path}" in text


@pytest.mark.quick
def test_health_tells_that_all_is_well(server):
    told = server.get("/health").json
    assert (told["status"], told["streams"]) == ("ok", 3)


def test_without_day_datasets_there_are_none(server):
    assert server.get("/api/days").json == {"days": []}
    assert server.get("/api/channels").json == {"channels": []}


def test_what_has_not_changed_is_304_and_has_no_body(server):
    for path in (f"/api/values?name={SEIS}&start=1&end=2", "/api/streams", "/api/time?t=5", "/api", "/chart.js"):
        tag = server.ask("GET", path).headers["etag"]
        again = server.ask("GET", path, headers={"If-None-Match": tag})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag), path
        assert server.ask("GET", path, headers={"If-None-Match": '"other"'}).status == 200


def test_head_has_the_headers_alone(server):
    answer = server.ask("HEAD", "/api/streams")
    assert answer.status == 200 and answer.body == b"" and int(answer.headers["content-length"]) > 100


@pytest.mark.parametrize("method", ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "NONE"))
def test_other_methods_are_405(server, method):
    assert server.ask(method, "/api/streams").status == 405
    assert server.ask("POST" if method != "POST" else "PUT", "/app.js").status == 405


# Streams that grow


def test_what_is_imported_while_it_runs_is_seen_at_once(tmp_path):
    made.frame(tmp_path / "frames", NIGHT, {SEIS: "f4"})
    made.imported(tmp_path / "frames", tmp_path / "streams")
    ask = {"start": NIGHT, "end": NIGHT + 2 * HOUR, "points": 4}
    with served(tmp_path / "streams") as server:
        before = server.get("/api/values", SEIS, **ask)
        assert before.json["series"][0]["values"][2:] == [None, None]
        made.frame(tmp_path / "frames", NIGHT + HOUR, {SEIS: "f4", RAIN: "i4"})
        made.imported(tmp_path / "frames", tmp_path / "streams")
        after = server.get("/api/values", SEIS, headers={"If-None-Match": before.headers["etag"]}, **ask)
        assert after.status == 200 and None not in after.json["series"][0]["values"]
        assert server.get("/api/values", RAIN, **ask).status == 200
        assert [entry["last"] for entry in server.get("/api/streams").json["streams"]] == [
            NIGHT + 2 * HOUR - MINUTE
        ] * 2


def test_what_is_not_committed_is_not_there(tmp_path):
    made.frame(tmp_path / "frames", NIGHT, {SEIS: "f4"})
    made.imported(tmp_path / "frames", tmp_path / "streams")
    with served(tmp_path / "streams") as server:
        before = server.get("/api/values", SEIS, **SPAN).body
        with open(tmp_path / "streams" / f"{SEIS}.bin", "ab") as file:
            file.write(b"\xff" * 50)
        assert server.get("/api/values", SEIS, **SPAN).body == before
        assert server.post(file=f"{SEIS}.bin", recsz=25, records="60").body == bytes(25)


def test_no_answer_mixes_an_old_stream_with_a_new_one(tmp_path):
    """One stream is written again and again, whole, as a state that commits both it and its twin; both must agree."""
    out = tmp_path / "streams"
    info = records.Info("double", 64, 0.0, 1.0, "V")
    versions = []
    for number in (1.0, 2.0):
        written = stream_files.Written(info, 16).file(NIGHT, 60, [number] * 600)
        versions.append((written.records().tobytes(), written.entries().tobytes()))
    names = ("H0:PEM-A_WIND", "H0:PEM-B_WIND")
    for name in names:
        written.write(out, name)
    hidden = out / ".framemake"
    (hidden / "new").mkdir(parents=True)
    state = store.empty()
    state["streams"] = {name: {"records": 600, "entries": 2, "rate": 16} for name in names}
    state["pending"] = list(names)

    def commit(number):
        # As the importer does: whole files aside, the state that names them, and then into place.
        shutil.rmtree(hidden / "new")
        (hidden / "new").mkdir()
        kept, index = versions[number % 2]
        for name in names:
            (hidden / "new" / f"{name}.bin").write_bytes(kept)
            (hidden / "new" / f"{name}.index.bin").write_bytes(index)
        (hidden / "next").write_text(json.dumps({**state, "log": number}))
        os.replace(hidden / "next", hidden / "state.json")
        for name in names:
            for suffix in (".bin", ".index.bin"):
                os.replace(hidden / "new" / (name + suffix), out / (name + suffix))

    commit(0)
    seen = set()
    with served(out) as server:
        until, number = time.monotonic() + 3, 0
        while time.monotonic() < until or len(seen) < 2:
            number += 1
            commit(number)
            answer = server.get("/api/values", *names, start=NIGHT, end=NIGHT + 36_000, points=50)
            if answer.status == 200:
                found = {value for series in answer.json["series"] for value in series["values"]}
                assert len(found) == 1, found
                seen |= found
    assert seen == {1.0, 2.0}


def test_a_commit_between_two_streams_of_one_request_makes_it_ask_both_again(tmp_path, monkeypatch):
    out = tmp_path / "streams"
    names = ("H0:PEM-A_WIND", "H0:PEM-B_WIND")

    def commit(value):
        written = stream_files.Written(stream_files.DOUBLE, 16).file(NIGHT, 60, [value] * 60)
        for name in names:
            # New files, as an importer's: the old ones stay what they are for who has them open.
            for path in out.glob(f"{name}.*"):
                path.unlink()
            written.write(out, name)
        state = store.empty()
        state["streams"] = {name: {"records": 60, "entries": 2, "rate": 16} for name in names}
        (out / ".framemake").mkdir(exist_ok=True)
        (out / "next").write_text(json.dumps({**state, "log": int(value)}))
        os.replace(out / "next", out / ".framemake" / "state.json")

    commit(1.0)
    opened, to_come = store.open_stream, [2.0]

    def slowly(*args):
        found = opened(*args)
        if to_come:
            commit(to_come.pop())
        return found

    monkeypatch.setattr(store, "open_stream", slowly)
    found = serve_streams.ServedStreams(str(out)).curves(names, "mean", NIGHT, NIGHT + HOUR, 3)
    assert [curve.values.tolist() for curve in found] == [[2.0] * 3] * 2


# What nobody gets


def escapes(tree):
    """Names that lead elsewhere, as they come on the wire."""
    outside = tree / "outside.bin"
    yield from ("..", ".", "", "%2e%2e", "..%2Foutside", "../outside", "%2e%2e%2foutside", "..%252foutside")
    yield from ("/etc/passwd", "//etc/passwd", "%2Fetc%2Fpasswd", str(outside)[:-4], f"{SEIS}%00", f"{SEIS}%00.bin")
    yield from ("..%5coutside", "%c0%ae%c0%ae%2foutside", "%ff%fe", "streams/../outside", f"./{SEIS}", f"{SEIS}/", "*")
    yield from (".framemake/state.json", ".framemake%2Fstate", "ligoimport", "ligoimport.files", "ImportData.errors")
    yield from ("H0:LINK", "H0:INNER", "H0:FOLDER", "H0:FIFO", "~root", "$HOME", "file:///etc/passwd", "a" * 300)


@pytest.fixture(scope="module")
def hostile(tree):
    """The streams, with links, a folder and a pipe among them that have the names of streams."""
    (tree / "outside.bin").write_bytes(b"secret" * 100)
    (tree / "outside.info").write_bytes((tree / "streams" / f"{SEIS}.info").read_bytes())
    (tree / "outside.index.bin").write_bytes((tree / "streams" / f"{SEIS}.index.bin").read_bytes())
    out = tree / "hostile"
    shutil.copytree(tree / "streams", out)
    for suffix in (".bin", ".index.bin", ".info"):
        (out / f"H0:LINK{suffix}").symlink_to(tree / f"outside{suffix}")
        (out / f"H0:INNER{suffix}").symlink_to(out / f"{SEIS}{suffix}")
        (out / f"H0:FOLDER{suffix}").mkdir()
        os.mkfifo(out / f"H0:FIFO{suffix}")
    with served(out) as running:
        yield running


def test_only_plain_files_of_the_folder_are_streams(hostile):
    assert [entry["name"] for entry in hostile.get("/api/streams").json["streams"]] == [RAIN, SEIS, MAG]


def test_no_name_leads_out_of_the_folder(hostile, tree):
    for name in escapes(tree):
        answer = hostile.ask("GET", f"/api/values?name={name}&start={NIGHT}&end={NIGHT + HOUR}")
        assert answer.status in (400, 404), name
        for suffix in ("", ".bin", ".index.bin", ".info"):
            body = f"file={name}{suffix}&recsz=4&records=0".encode()
            answer = hostile.ask("POST", "/", body, {"Content-Type": "application/x-www-form-urlencoded"})
            assert answer.status == 406, name
            assert answer.body.startswith(b"no such ") and b"secret" not in answer.body and b"root:" not in answer.body


def test_no_address_leads_to_a_file(hostile, tree):
    for name in escapes(tree):
        for path in (f"/{name}", f"/static/{name}", f"/app.js/{name}", f"/../{name}"):
            answer = hostile.ask("GET", path.replace(" ", "%20"))
            assert answer.status in (400, 404) or path == "/", path
            assert b"secret" not in answer.body


def test_a_hidden_folder_that_is_a_link_is_not_followed(tree, tmp_path):
    shutil.copytree(tree / "streams", tmp_path / "streams")
    (tmp_path / "streams" / ".framemake").rename(tmp_path / "elsewhere")
    (tmp_path / "streams" / ".framemake").symlink_to(tmp_path / "elsewhere")
    assert serve_streams.ServedStreams(str(tmp_path / "streams")).names() == []


def test_a_stream_that_takes_its_place_at_this_moment_is_there(streams, tmp_path, monkeypatch):
    shutil.copytree(streams, tmp_path / "streams")
    hidden = tmp_path / "streams" / ".framemake" / "new"
    hidden.mkdir(exist_ok=True)
    for suffix in store.SUFFIXES:
        (tmp_path / "streams" / f"{SEIS}{suffix}").rename(hidden / f"{SEIS}{suffix}")
    looked = serve_streams.identity

    def moving(path):
        found = looked(path)
        for waiting in hidden.iterdir():
            if os.path.basename(path) == waiting.name:
                waiting.rename(tmp_path / "streams" / waiting.name)
        return found

    monkeypatch.setattr(serve_streams, "identity", moving)
    assert serve_streams.ServedStreams(str(tmp_path / "streams")).tag(SEIS)
    assert not list(hidden.iterdir())


def test_every_answer_has_the_headers_that_protect_a_browser(server):
    for path in ("/", "/chart.js", "/api/streams", "/api/none", "/none", "/health", "/api/values"):
        headers = server.ask("GET", path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "object-src 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY" and "server" not in headers


def test_what_a_client_sends_does_not_come_back_as_a_page(server):
    text = "<script>alert(1)</script>"
    for answer in (
        server.get(f"/{'%3Cscript%3E'}"),
        server.get("/api/values", text, start=1, end=2),
        server.get("/api/values", SEIS, start=text, end=2),
        server.post(file=text, recsz=25, records="0"),
        server.post(file=f"{SEIS}.bin", recsz=text, records="0"),
        server.post(file=f"{SEIS}.bin", recsz=25, records=text.replace(" ", "")),
    ):
        assert answer.status in (400, 404, 406)
        assert answer.headers["content-type"].split(";")[0] in ("application/json", "text/plain")


def test_a_stream_that_cannot_be_read_is_told_without_the_machine_s_folders(tmp_path):
    stream_files.Written().file(NIGHT, 60, [1.0] * 10).write(tmp_path / "streams", SEIS)
    (tmp_path / "streams" / f"{SEIS}.bin").write_bytes(b"\xff" * 26)
    with served(tmp_path / "streams") as server:
        (entry,) = server.get("/api/streams").json["streams"]
        answer = server.get("/api/values", SEIS, **SPAN)
        assert answer.status == 503 and answer.headers["retry-after"] == "1"
        assert entry["problem"] == answer.error == f"torn, 26 bytes: '{SEIS}.bin'"
        assert server.post(file=f"{SEIS}.bin", recsz=25, records="0").status == 503


@pytest.mark.parametrize("suffix", [records.BIN, "envelope"])
def test_a_file_that_is_cut_while_it_is_read_is_told_and_ends_no_process(tmp_path, monkeypatch, suffix):
    """Reading what is no longer in a mapped file ends a process by a signal."""
    written = stream_files.Written().file(NIGHT, 1, np.arange(40_000.0))
    written.write(tmp_path, SEIS)
    envelope.renew(str(tmp_path), store.open_stream(str(tmp_path), SEIS))
    known, path = serve_streams.ServedStreams(str(tmp_path)), tmp_path / f"{SEIS}.bin"
    span = NIGHT, NIGHT + 40_000
    (whole,) = known.curves([SEIS], "mean", *span, 100)
    # Nobody has looked at the folder since it was cut.
    tag = known.tag(SEIS)
    monkeypatch.setattr(known, "_tag", lambda name: tag)
    if suffix == records.BIN:
        held = known.file_bytes(f"{SEIS}.bin")
        os.truncate(path, path.stat().st_size // 2)
        for kind, points, band in (("mean", 100, False), ("rms", None, True)):
            with pytest.raises(Refused, match="stream is being changed, try again"):
                known.curves([SEIS], kind, *span, points, band)
        with pytest.raises(BadInput, match="has become shorter while it was read"):
            protocol.octets(held, 25, np.arange(10))
    else:
        monkeypatch.setattr(envelope, "_counts", lambda *given: os.truncate(envelope.path_of(str(tmp_path), SEIS), 0))
        with pytest.raises(Refused, match="stream is being changed, try again"):
            known.curves([SEIS], "mean", *span, 100, True)
        monkeypatch.undo()
        (again,) = known.curves([SEIS], "mean", *span, 100, True)
        assert again.values.tolist() == whole.values.tolist() and again.high.max() == 39_999 / 16


def test_the_list_is_made_of_what_is_known_until_it_changes(streams, tmp_path, monkeypatch):
    shutil.copytree(streams, tmp_path / "streams")
    known = serve_streams.ServedStreams(str(tmp_path / "streams"))
    first, opened = known.listing(), []
    monkeypatch.setattr(store, "open_stream", lambda out, name: opened.append(name) or 1 / 0)
    assert known.listing() == first and opened == []
    os.utime(tmp_path / "streams" / f"{MAG}.info")
    with pytest.raises(ZeroDivisionError):
        known.listing()
    assert opened == [MAG]


TEXT = some.text(max_size=30) | some.sampled_from(
    (SEIS, f"{SEIS}.bin", "../x", "a\0", "1148000400", "mean", "csv", "10")
)
KEYS = some.sampled_from(
    ("name", "kind", "start", "end", "points", "format", "t", "spec", "file", "recsz", "records", "x", "")
)
PATHS = some.sampled_from(
    ("/", "/api/streams", "/api/values", "/api/days", "/api/channels", "/api/time", "/health", "/x")
)
SLOW = settings(
    max_examples=150, deadline=None, suppress_health_check=(HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
)


@SLOW
@given(raw=some.binary(min_size=25, max_size=400), index=some.binary(max_size=80))
@pytest.mark.long
def test_a_stream_of_any_bytes_is_answered_or_refused(tmp_path_factory, raw, index):
    out = tmp_path_factory.mktemp("any")
    stream_files.Written().file(NIGHT, 60, [1.0] * 10).write(out, SEIS)
    (out / f"{SEIS}.bin").write_bytes(raw[: len(raw) // 25 * 25])
    (out / f"{SEIS}.index.bin").write_bytes(index[: len(index) // 16 * 16])
    (entry,) = (known := serve_streams.ServedStreams(str(out))).listing()
    json.dumps(entry, allow_nan=False)
    for points in (None, 7):
        with contextlib.suppress(Refused):
            (curve,) = known.curves([SEIS], "rms", 1, NIGHT * 2, points, band=True)
            assert len(curve.times) == len(curve.values) == len(curve.low) == len(curve.high)
            for held in (curve.times, curve.values, curve.low, curve.high):
                answers.as_json({"held": answers.numbers(held)})


def test_an_empty_folder_is_an_empty_list(tmp_path):
    (tmp_path / "streams").mkdir()
    with served(tmp_path / "streams") as server:
        assert server.get("/api/streams").json["streams"] == []
        assert server.get("/health").json["streams"] == 0
        shutil.rmtree(tmp_path / "streams")
        answer = server.get("/health")
        assert (answer.status, answer.error) == (503, "no such file or directory: '.'")


@SLOW
@given(path=PATHS, pairs=some.lists(some.tuples(KEYS, TEXT), max_size=6), post=some.booleans())
def test_no_request_makes_the_server_fail(server, path, pairs, post):
    from urllib.parse import urlencode

    text = urlencode([(key, value.encode("utf-8", "surrogatepass")) for key, value in pairs])
    if post:
        answer = server.ask("POST", path, text.encode(), {"Content-Type": "application/x-www-form-urlencoded"})
    else:
        answer = server.ask("GET", f"{path}?{text}")
    assert answer.status < 500 and b"Traceback" not in answer.body


@SLOW
@given(
    raw=some.binary(max_size=200),
    head=some.sampled_from((b"", b"GET ", b"GET /api/values?name=", b"POST / HTTP/1.1\r\n")),
)
def test_no_bytes_make_the_server_fail(server, raw, head):
    with server.connect() as client:
        client.sendall(head + raw + b"\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        found = b""
        while piece := client.recv(1 << 16):
            found += piece
    assert b" 500 " not in found[:20] and b"Traceback" not in found


def test_after_all_that_it_is_well(server):
    assert server.get("/health").json["status"] == "ok"


# How it begins and ends


def test_a_port_in_use_is_one_line(server, streams):
    told = refused("serve-streams", streams, "--port", str(server.port))
    assert told == f"serve-streams: cannot listen, port in use: '127.0.0.1:{server.port}'\n"


def test_what_cannot_be_is_one_line(streams, tmp_path):
    assert "no such folder: '/none'" in refused("serve-streams", "/none")
    assert "no such folder: '/none'" in refused("serve-streams", streams, "--days", "/none")
    assert "no such host" in refused("serve-streams", streams, "--host", "no.such.host.invalid", "--port", "0")
    assert "at most 65535" in refused("serve-streams", streams, "--port", "65536", status=2)
    assert "--port" in refused("serve-streams", streams, "--port", "x", status=2)


def test_it_listens_on_this_machine_alone(server):
    assert server.host == "127.0.0.1"


def test_make_serve_shows_streams_and_days_until_it_is_stopped(streams, tmp_path):
    command = ["make", "-f", ROOT / "Makefile", "serve"]
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    options = {"cwd": tmp_path, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    (tmp_path / "a & b").mkdir()
    for more, told in ([], "no day datasets are served here"), (["OUT=a & b"], "no such channel"):
        given = [*command, f"STREAMS={streams}", "PORT=0", *more]
        process = subprocess.Popen(given, start_new_session=True, **options)
        try:
            server = Server(process, process.stdout.readline().strip())
            assert {each["name"] for each in server.get("/api/streams").json["streams"]} == {SEIS, RAIN, MAG}
            assert told in server.get("/api/day-values", SEIS, start=1, end=2).error
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=20)
    done = subprocess.run(command, check=False, **options)
    assert done.returncode != 0
    assert done.stderr.startswith("make: STREAMS names no folder of streams, want make serve STREAMS=...\n")


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
def test_it_stops_at_once_leaving_no_process(streams, number):
    process = subprocess.Popen(
        [BIN / "serve-streams", streams, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    server = Server(process, process.stdout.readline().strip())
    children = children_of(process.pid)
    assert len(children) == 2
    idle = server.connect()
    process.send_signal(number)
    assert process.wait(timeout=8) == 0 and process.communicate() == ("", "")
    idle.close()
    assert not any(os.path.exists(f"/proc/{child}") for child in children)


def children_of(process):
    with open(f"/proc/{process}/task/{process}/children", encoding="ascii") as source:
        return source.read().split()


def test_a_process_that_dies_is_replaced(streams):
    with served(streams, fails=True) as server:
        before = children_of(server.process.pid)
        os.kill(int(before[0]), signal.SIGKILL)
        until = time.monotonic() + 10
        while len(set(children_of(server.process.pid)) - {before[0]}) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        for _ in range(10):
            assert server.get("/health").status == 200
    assert server.said == f"serve-streams: a process ended and is replaced: {before[0]}\n"


@pytest.mark.slow
def test_when_the_first_process_is_killed_the_others_end(streams):
    process = subprocess.Popen([BIN / "serve-streams", streams, "--port", "0"], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    children = children_of(process.pid)
    process.kill()
    process.communicate()
    until = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{child}") for child in children) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(os.path.exists(f"/proc/{child}") for child in children)


# Clients that are slow or greedy


def test_stalled_clients_hold_up_nobody(server):
    half = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nfi"
    stalled = [server.connect() for _ in range(60)]
    try:
        for at, client in enumerate(stalled):
            client.sendall((b"GET /hea", half, b"G")[at % 3])
        begun = time.monotonic()
        for _ in range(20):
            assert server.get("/api/values", SEIS, points=100, **SPAN).status == 200
        assert time.monotonic() - begun < 5
    finally:
        for client in stalled:
            client.close()


def test_a_client_that_takes_no_answer_holds_up_nobody(server):
    greedy = []
    try:
        for _ in range(8):
            client = server.connect()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /chart.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)
            greedy.append(client)
        begun = time.monotonic()
        for _ in range(10):
            assert server.get("/health").status == 200
        assert time.monotonic() - begun < 5
    finally:
        for client in greedy:
            client.close()


def test_a_request_that_is_too_large_is_refused(server):
    body = b"file=x&recsz=25&records=" + b"0+" * 1_500_000
    answer = server.ask("POST", "/", body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 413 and answer.body.count(b"\n") == 1
    with server.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n")
        head, _, body = b"".join(iter(lambda: client.recv(4096), b"")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413 ") and b"Content-Security-Policy: default-src 'self'" in head
        assert body.startswith(b"Request Entity Too Large: ") and body.count(b"\n") == 1
    assert server.ask("GET", "/health", headers={"X": "x" * 40_000}).status == 431
    assert server.ask("GET", "/health?" + "x" * 40_000).status in (414, 431)


@pytest.mark.long
def test_a_request_that_comes_drop_by_drop_is_cut_off(streams):
    with served(streams) as server, server.connect() as client:
        begun = time.monotonic()
        client.settimeout(0.5)
        with pytest.raises((ConnectionError, BrokenPipeError)):
            for _ in range(100):
                client.sendall(b"G")
                try:
                    if not client.recv(10):
                        raise ConnectionResetError
                except TimeoutError:
                    pass
        assert 15 < time.monotonic() - begun < 30


def test_the_systemd_unit_starts_what_there_is():
    needs("systemd-analyze")
    unit = ROOT / "cron" / "systemd" / "framemake-serve.service"
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (start,) = re.findall(r"^ExecStart=/usr/bin/env \$\{FRAMEMAKE\}/(\S+) ", unit.read_text(), re.MULTILINE)
    assert os.access(ROOT / start, os.X_OK)


def test_octets_are_those_of_a_slice():
    from framemake.serve.protocol import octets

    held = np.frombuffer(bytes(range(250)), np.uint8)
    assert octets(held, 25, np.array([0, 9])) == bytes(range(25)) + bytes(range(225, 250))
    assert octets(held[:0], 25, np.array([0, 2**62])) == bytes(50)


@contextlib.contextmanager
def running(streams, **how):
    """A server of one process in a thread of this one: (the Server that asks it, waitress's server)."""
    listening = server_module.listen("127.0.0.1", 0)
    door_of = {name: how.pop(name) for name in ("door", "log") if name in how}
    application = app.Application(serve_streams.ServedStreams(str(streams)), None, **door_of)
    found = server_module.create(application, listening, **how)
    threading.Thread(target=found.run, daemon=True).start()
    yield Server(None, server_module.address_of(listening)), found


def is_closed(client):
    """Whether the other side has closed a connection."""
    client.settimeout(0.05)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_a_newcomer_gets_the_place_of_the_one_that_was_silent_for_longest(streams, monkeypatch):
    monkeypatch.setattr(server_module, "CONNECTIONS", 6)
    with running(streams) as (server, held):
        # All of one address, as a school is: none is refused as long as there are places.
        clients = []
        for count in range(1, 7):
            clients.append(server.connect())
            until = time.monotonic() + 5
            while len(held.active_channels) < count and time.monotonic() < until:
                time.sleep(0.01)
        clients[0].sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert clients[0].recv(100).startswith(b"HTTP/1.1 200 ")
        assert [is_closed(client) for client in clients] == [False] * 6
        assert server.get("/health").status == 200
        # The first has asked something since, so the second was the one.
        until = time.monotonic() + 5
        while not is_closed(clients[1]) and time.monotonic() < until:
            pass
        assert [is_closed(client) for client in clients[:3]] == [False, True, False]
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    "head",
    (
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ),
)
def test_a_request_that_ends_in_two_ways_is_refused_and_closed(server, head):
    form = b"Host: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n"
    with server.connect() as client:
        client.sendall(head + form + b"0\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        found = b"".join(iter(lambda: client.recv(4096), b""))
    assert found.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")) and found.count(b"HTTP/1.") <= 2
    assert b" 200 " not in found


def test_a_log_has_a_line_for_each_answer_and_is_made_anew_when_it_was_moved(streams, tmp_path, monkeypatch):
    path = tmp_path / "access.log"
    monkeypatch.setattr(door, "_LOOK", 0.0)
    with running(streams, log=door.AccessLog(str(path)), proxy="127.0.0.1") as (server, _):
        agent = {"User-Agent": 'a "b" \xe9', "X-Forwarded-For": "203.0.113.7"}
        server.ask("GET", "/api/values?name=%0a<b>", headers=agent)
        path.rename(tmp_path / "moved")
        assert server.ask("GET", "/health", headers={"X": "x" * 40_000}).status == 431
        server.get("/health")
    (first,) = (tmp_path / "moved").read_text().splitlines()
    refusal, second = path.read_text().splitlines()
    assert " 431 " in refusal
    form = r'%s - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "%s" %s \d+ "-" "%s" \d\.\d{3}'
    asked = r"GET /api/values\?name=%0a<b> HTTP/1.1"
    assert re.fullmatch(form % (r"203\.0\.113\.7", asked, 400, r"a \\x22b\\x22 \\xc3\\xa9"), first)
    assert re.fullmatch(form % (r"127\.0\.0\.1", "GET /health HTTP/1.1", 200, "-"), second)


@pytest.mark.parametrize("patience", ("SEND", "RECEIVE"))
def test_a_connection_whose_time_is_over_is_closed_though_the_client_does_nothing(streams, monkeypatch, patience):
    monkeypatch.setattr(server_module, patience, 0.5)
    with running(streams) as (server, held), socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((server.host, server.port))
        client.sendall(b"GET /chart.js HTTP/1.1\r\nHost: localhost\r\n" + (b"\r\n" if patience == "SEND" else b""))
        until = time.monotonic() + 10
        while not held.active_channels and time.monotonic() < until:
            time.sleep(0.02)
        assert held.active_channels
        while held.active_channels and time.monotonic() < until:
            time.sleep(0.02)
        assert not held.active_channels
    with server.connect() as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
