"""`pip install CHECKOUT` and `import framemake`: what a program gets, and that the import costs next to nothing."""

import ast
import importlib
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version

import framemake
import numpy as np
import pytest
from support.commands import START, frame_file, needs_package, well
from support.sites import ROOT, signal
from support.stream_files import Written


def fresh(code, *args, path=ROOT / "lib"):
    """What a new Python that finds framemake in `path` prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True, text=True, check=False, cwd="/", env={**os.environ, "PYTHONPATH": str(path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_loads_nothing_and_changes_nothing():
    code = """
import os, sys
before, held = dict(os.environ), set(sys.modules)
import framemake
new = set(sys.modules) - held
print(sorted(name for name in new if name.split(".")[0] == "framemake"), "numpy" in new, os.environ == before)
"""
    assert fresh(code).strip() == "['framemake', 'framemake.version'] False True"


@pytest.mark.parametrize("name", framemake.__all__)
def test_each_name_is_there_with_its_words(name):
    if name == "open_day" and not hasattr(importlib.import_module("framemake.day.dayfile"), name):
        pytest.skip("framemake.day.dayfile has no open_day yet")
    assert getattr(framemake, name).__doc__
    assert name in dir(framemake)


def test_each_room_says_what_it_is_for():
    for path in sorted((ROOT / "lib" / "framemake").rglob("*.py")):
        assert ast.get_docstring(ast.parse(path.read_bytes())), path


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="'framemake' has no attribute 'nothing'"):
        framemake.nothing  # noqa: B018


def test_frames_are_listed_and_opened(tmp_path):
    path = frame_file(tmp_path, START, 100, signal(count=100, unit="V"))
    frames, odd = framemake.list_frames(str(tmp_path), framemake.Window(START, START + 10))
    assert [frame.path for frame in frames] == [str(path)] and odd == []
    file = framemake.open_frame(path)
    assert file.frames == [(START, 0, 100.0)] and dict(file.kinds) == {"V1:A": "adc"}
    series = file.read(0, "V1:A", "adc")
    assert isinstance(series, framemake.Series) and (series.dt, series.unit) == (1.0, "V")
    assert len(series.data) == 100
    with pytest.raises(framemake.BadFrame):
        framemake.open_frame(__file__)
    with pytest.raises(framemake.BadInput):
        framemake.list_frames("nothing.gwf")


def test_a_stream_is_read_as_read_stream_prints_it(tmp_path):
    written = Written()
    written.file(START, 1, np.arange(1.0, 61.0))
    written.write(tmp_path, "H0:PEM-EX_SEISX")
    for start, end in ((START, START + 60), ("2024-04-10T00:00:00", "2024-04-10T00:01:00")):
        times, values = framemake.read_stream(str(tmp_path), "H0:PEM-EX_SEISX", "rms", start, end, 6)
        out = well("read-stream", tmp_path / "H0:PEM-EX_SEISX", "--rms", str(start), str(end), "--points", "6")
        printed = [tuple(map(float, line.split("\t"))) for line in out.splitlines()]
        np.testing.assert_array_equal(printed, list(zip(times, values, strict=True)))
    with pytest.raises(framemake.BadInput, match="no such stream"):
        framemake.read_stream(str(tmp_path), "none", "mean", START, START + 1)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what pip installs, built from a copy of the checkout: a build leaves files beside its sources."""
    needs_package("setuptools", "pip")
    try:
        # Before 77 it does not take the license's name.
        if int(version("setuptools").split(".")[0]) < 77:
            needs_package("setuptools>=77")
    except PackageNotFoundError:
        needs_package("setuptools>=77")
    folder = tmp_path_factory.mktemp("package")
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    for name in ("lib", "channels"):
        shutil.copytree(ROOT / name, checkout / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, checkout],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("framemake-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "installed")
    return folder / "installed"


def test_what_is_installed_is_whole(installed):
    """Each room, the server's page, the table of rates and the note that there are types, byte for byte."""
    source = ROOT / "lib" / "framemake"
    here = {
        path.relative_to(source)
        for pattern in ("**/*.py", "**/*.c", "serve/static/*", "tables/*.tsv", "py.typed")
        for path in source.glob(pattern)
    }
    assert len(here) > 60
    for path in here:
        assert (installed / "framemake" / path).read_bytes() == (source / path).read_bytes()


def test_what_is_installed_works_without_the_checkout(installed, tmp_path):
    frame_file(tmp_path, START, 100, signal(count=100))
    code = """
import sys, framemake
from framemake.streams import records
(frame,), _ = framemake.list_frames(sys.argv[1])
print(framemake.__file__, framemake.open_frame(frame.path).kinds, len(records.rates()) > 40, framemake.__version__)
for name in framemake.__all__:
    name == "open_day" or getattr(framemake, name)
import xarray
print(xarray.backends.list_engines()["framemake"].description)
"""
    there = installed / "framemake" / "__init__.py"
    expected = f"{there} {{'V1:A': 'adc'}} True {framemake.__version__}\n"
    expected += "Day files of framemake, and folders of them\n"
    assert fresh(code, tmp_path, path=installed) == expected


def test_it_names_what_it_needs(installed):
    (metadata,) = installed.glob("framemake-*.dist-info/METADATA")
    needed = [line.split(":", 1)[1] for line in metadata.read_text().splitlines() if line.startswith("Requires-Dist:")]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert [name.replace(" ", "") for name in needed] == [name.replace(" ", "") for name in wanted]
