"""bin/make-crate: an RO-Crate of finished days that says what they were made from, which a public validator passes."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from framemake.day import manifest, resample, summary
from framemake.day.folder import Folder
from framemake.days import crate
from framemake.errors import BadInput
from support import validate_crate
from support.commands import call, make, needs, run, well
from support.day_files import day_folder

FIRST, NEXT = "2024-04-10", "2024-04-11"
CHANNELS = {"V1:A": (1.0, 0.0, np.arange(600, dtype="f4"))}


@pytest.fixture
def out(tmp_path):
    """Two finished days, one of them at a lower rate, and one that failed."""
    source = day_folder(tmp_path / "source", FIRST, CHANNELS)
    out = tmp_path / "days"
    day_folder(out, FIRST, CHANNELS)
    lower = Folder.of(str(out), "V1trend", NEXT)
    resample.write(source.h5, lower.h5, resample.Lower("0.1"))
    summary.tell(lower.h5)
    Folder.of(str(out), "V1trend", NEXT).note(date=NEXT)
    os.mkdir(out / "V1trend-2024-04-12")
    return out


def entities(out):
    graph = json.loads((Path(out) / crate.NAME).read_text())["@graph"]
    assert len({entity["@id"] for entity in graph}) == len(graph)
    return {entity["@id"]: entity for entity in graph}


def test_it_tells_of_each_finished_day(out):
    path, left = crate.write(str(out), crate.About(agent="Ada Lovelace"))
    assert path == str(out / "ro-crate-metadata.json")
    assert len(left) == 1 and left[0].startswith("2024-04-12 is missing, left out")
    made = entities(out)
    root = made["./"]
    assert root["conformsTo"] == {"@id": "https://w3id.org/ro/wfrun/process/0.5"}
    assert [made[entry["@id"]]["name"] for entry in root["mentions"]] == [f"V1trend of {day}" for day in (FIRST, NEXT)]
    action = made[f"#V1trend-{FIRST}"]
    assert action["@type"] == "CreateAction" and made[action["agent"]["@id"]]["name"] == "Ada Lovelace"
    inputs = [made[entry["@id"]] for entry in action["object"]]
    settings = {entry["name"]: entry["value"] for entry in inputs if entry["@type"] == "PropertyValue"}
    assert settings == {"INCREMENT": "600", "COMPRESSION": "lzf", "START": "1396742418", "END": "1396743018"}
    (frame,) = [entry for entry in inputs if entry["@type"] == "CreativeWork"]
    assert (frame["@id"], frame["contentSize"]) == ("file:///frames/V-x.gwf", "1")
    assert made[action["instrument"]["@id"]]["softwareVersion"] == "1"
    lower = made[f"#V1trend-{NEXT}"]
    names = {made[entry["@id"]].get("name"): made[entry["@id"]] for entry in lower["object"]}
    assert (names["RATE"]["value"], names["LEAST"]["value"]) == ("0.1", "0.5") and "V1trend_20240410.h5" in names


def test_its_files_are_there_with_the_digests_of_the_manifest(out):
    crate.write(str(out), crate.About())
    made = entities(out)
    parts = [made[entry["@id"]] for entry in made["./"]["hasPart"]]
    assert len(parts) == 16
    for part in parts:
        path = out / part["@id"]
        assert path.stat().st_size == int(part["contentSize"]) and manifest.sha256(str(path)) == part["sha256"]
    results = {entry["@id"] for action in made["./"]["mentions"] for entry in made[action["@id"]]["result"]}
    assert results == {part["@id"] for part in parts}


def test_each_word_is_one_of_the_contexts_that_it_names(out):
    crate.write(str(out), crate.About("name", "words", "https://creativecommons.org/licenses/by/4.0/", "A. L."))
    told = json.loads((out / crate.NAME).read_text())
    known = {word for url in told["@context"] for word in validate_crate.CONTEXTS[url]} | {"@id", "@type"}
    assert {word for entity in told["@graph"] for word in entity} <= known
    assert {entity["@type"] for entity in told["@graph"]} <= known
    refs = json.dumps(told).split('{"@id": "')[1:]
    assert {ref.split('"')[0] for ref in refs} - {"https://w3id.org/ro/crate/1.1"} <= set(entities(out))


@pytest.mark.long
def test_the_public_validator_passes_it(out):
    needs("rocrate-validator")
    with open(shutil.which("rocrate-validator")) as program:
        python = program.readline().removeprefix("#!").strip()
    crate.write(str(out), crate.About())
    done = call(python, validate_crate.__file__, out)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_frames_need_not_be_named(out):
    crate.write(str(out), crate.About(), frames=False)
    assert not any("V-x.gwf" in name for name in entities(out))


def test_a_day_without_a_manifest_is_left_out_and_said(out):
    os.unlink(Folder.of(str(out), "V1trend", FIRST).manifest)
    _, left = crate.write(str(out), crate.About())
    assert left[0].startswith(f"{FIRST} has no summary and manifest that can be used, left out")
    assert f"#V1trend-{FIRST}" not in entities(out)
    os.unlink(Folder.of(str(out), "V1trend", NEXT).manifest)
    before = (out / crate.NAME).read_bytes()
    with pytest.raises(BadInput, match="no completed day with summary and manifest"):
        crate.write(str(out), crate.About())
    assert (out / crate.NAME).read_bytes() == before


def test_by_command_and_by_make(out, tmp_path):
    line = ("make-crate", out, "--first", FIRST, "--last", NEXT)
    assert well(*line) == f"{out}/ro-crate-metadata.json\n"
    before = (out / crate.NAME).read_bytes()
    assert well(*line) and (out / crate.NAME).read_bytes() == before
    status, _, told = run("make-crate", out)
    assert status == 3 and told.startswith("make-crate: 2024-04-12 is missing")
    done = make("crate", f"OUT={out}", f"FIRST={FIRST}", f"LAST={FIRST}", "LICENSE=none $(at) all", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert entities(out)["#license"]["name"] == "none $(at) all"
