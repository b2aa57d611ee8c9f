"""How the host stands, as serve-streams tells it: asked in this process."""

import json

import pytest
from framemake.serve import standing
from support import stream_files
from support.commands import BIN

pytestmark = pytest.mark.quick
START = 1148000400


@pytest.fixture
def streams(tmp_path):
    stream_files.Written().file(START, 60, [1.0] * 10).write(tmp_path / "streams", "H0:PEM-EX_SEISX")
    (tmp_path / "streams" / "H0:PEM-EX_TORN.bin").write_bytes(b"x")
    return tmp_path / "streams"


def test_ages_faults_and_the_night_are_told_without_folders(streams, tmp_path):
    report = {
        "started_utc": "2024-04-11T00:50:00+00:00", "finished_utc": "2024-04-11T01:50:00+00:00", "status": "warning",
        "steps": [{"name": "build", "status": "warning", "seconds": 12.5}, {"name": "<b>", "status": "ok"}, 7],
    }  # fmt: skip
    (tmp_path / "nightly.json").write_text(json.dumps(report))
    told = standing.Standing(str(streams), str(tmp_path / "none"), str(tmp_path / "nightly.json")).now()
    texts = {each["text"].partition(" is ")[0]: each["status"] for each in told["findings"]}
    assert texts["newest record of the streams in 'streams'"] == "CRITICAL"
    assert [each["status"] for each in told["findings"]][-1:] != ["CRITICAL"]
    assert {"kind": "stream", "name": "H0:PEM-EX_TORN", "where": "streams"}.items() <= told["faults"][-1].items()
    assert told["night"]["steps"] == [
        {"name": "build", "status": "warning", "seconds": 12.5},
        {"name": "<b>", "status": "ok", "seconds": None},
    ]
    assert str(tmp_path) not in json.dumps(told)
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize("text", ("", "[]", "{", '{"steps": 5}', '{"steps": [{"seconds": NaN}]}', "null"))
def test_a_report_of_a_night_that_is_none_does_no_harm(streams, tmp_path, text):
    (tmp_path / "nightly.json").write_text(text)
    told = standing.Standing(str(streams), "", str(tmp_path / "nightly.json")).now()
    assert any(each["status"] in ("UNKNOWN", "CRITICAL") for each in told["findings"])
    json.dumps(told, allow_nan=False)


def test_what_was_found_is_kept_for_a_while(streams, monkeypatch):
    looked = standing.Standing(str(streams))
    first = looked.now()
    monkeypatch.setattr(looked, "_look", lambda: pytest.fail("looked again"))
    assert looked.now() is first


def test_the_limits_are_those_of_check_nightly():
    said = (BIN / "check-nightly").read_text()
    for name, kind in (("day-age", "age"), ("stream-age", "age"), ("failed", "failed"), ("faulty", "faulty")):
        assert f'("{name}", "{standing.LIMITS[kind]}",' in said


@pytest.mark.parametrize(
    ("text", "told"),
    (
        ("torn: '/srv/a b/streams/X.bin'", "torn: '/srv/a b/streams/X.bin'"),
        ("torn: '/srv/streams/X.bin', and \"/a/b\"", "torn: 'X.bin', and \"b\""),
        ("12 m/s, 1/2", "12 m/s, 1/2"),
        ("newest day of /srv/out is old", "newest day of out is old"),
    ),
)
def test_of_a_path_only_its_last_part_is_told(text, told):
    assert standing.without_folders(text) == told.replace("/srv/a b/streams/", "")
