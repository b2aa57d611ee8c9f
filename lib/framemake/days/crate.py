"""An RO-Crate of finished days: what was made, from which frames and settings, by which version, with digests.

The crate is the output folder itself: ro-crate-metadata.json lies in it and describes the files of its day folders.
RO-Crate 1.1 (https://w3id.org/ro/crate/1.1) with the profile Process Run Crate 0.5
(https://w3id.org/ro/wfrun/process/0.5): each day is a CreateAction, whose objects are the frame files, the channel list
and the settings, and whose results are the files of the day folder.  All of it is read from summaries and manifests; no
day file is opened.
"""

import datetime
import json
import os
import urllib.parse
from collections.abc import Iterator
from typing import NamedTuple

from .. import files
from ..day import manifest
from ..day.folder import COMPLETED, Folder
from ..errors import BadInput
from ..frames import remote
from . import status

NAME = "ro-crate-metadata.json"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_CRATE = "https://w3id.org/ro/crate/1.1"
_CONTEXT = [f"{_CRATE}/context", "https://w3id.org/ro/terms/workflow-run/context"]
_FORMATS = {
    ".h5": "application/x-hdf5",
    ".json": "application/json",
    ".txt": "text/plain",
    ".tsv": "text/tab-separated-values",
}
# Where a summary has the settings that a day was made with, by make's names of them.
_SETTINGS = {
    "INCREMENT": ("increment_size",),
    "COMPRESSION": ("provenance", "compression"),
    "RATE": ("provenance", "source", "rate"),
    "LEAST": ("provenance", "source", "least"),
    "START": ("start_gps",),
    "END": ("end_gps",),
}


class About(NamedTuple):
    """What people say of a crate; an empty text is not said.

    name, description: of the dataset.  license: an address or a text.  agent: who made it, an ORCID's address or a
    name.
    """

    name: str = ""
    description: str = ""
    license: str = ""
    agent: str = ""


def write(
    out: str,
    about: About,
    spec: str | None = None,
    first: str | None = None,
    last: str | None = None,
    frames: bool = True,
) -> tuple[str, list[str]]:
    """Write the crate of the completed days of an output folder; (its path, which days are left out and why).

    spec, first, last: as of status.days_of, whose BadInput is raised; BadInput too if no day is left.  frames: whether
    each frame file is named; else the summaries, which list them, have to do.
    """
    made, left = _Crate(about, frames), []
    for day in status.days_of(out, spec, first, last):
        folder = Folder.of(out, day.spec, day.date)
        if day.status != COMPLETED:
            left.append(f"{day.date} is {day.status}, left out: {folder.path!r}")
            continue
        try:
            made.add(out, day, folder)
        except (BadInput, OSError, ValueError, KeyError) as error:
            left.append(f"{day.date} has no summary and manifest that can be used, left out: {str(error)!r}")
    if not made.days:
        raise BadInput(f"no completed day with summary and manifest in folder: {out!r}")
    path = os.path.join(out, NAME)
    text = json.dumps({"@context": _CONTEXT, "@graph": list(made.graph())}, indent=1)
    files.write_if_changed(path, text + "\n")
    return path, left


class _Crate:
    """The entities of a crate, by their @id, in the order in which they are added."""

    def __init__(self, about: About, frames: bool):
        self.about, self.frames = about, frames
        self.days: list[status.DayStatus] = []
        self.actions: list[str] = []
        self.parts: list[str] = []
        self.entities: dict[str, dict] = {}
        self.last = ""

    def entity(self, at: str, kind: str, /, **facts: object) -> dict:
        """A reference to the entity of this @id, which is added if it is new; facts of None are not told."""
        told = {key: value for key, value in facts.items() if value is not None}
        self.entities.setdefault(at, {"@id": at, "@type": kind, **told})
        return {"@id": at}

    def add(self, out: str, day: status.DayStatus, folder: Folder) -> None:
        """Add a day; its files are those of its manifest."""
        with files.opened(folder.summary, encoding="utf-8") as source:
            summary = json.load(source)
        digests = manifest.read(folder)
        if digests is None:
            raise BadInput(f"no manifest: {folder.manifest}")
        origin, here = summary["provenance"], os.path.relpath(folder.path, out)
        objects = [self._setting(folder, name, _member(summary, path)) for name, path in _SETTINGS.items()]
        if self.frames:
            objects += [self._frame(frame) for frame in origin["frames"] if frame["size_bytes"] is not None]
        if source := origin.get("source"):
            objects.append(self._outside(source["path"], source["size"], source["mtime"] / 1e9))
        if origin["channel_list"]:
            told = {"sha256": origin["channel_list_sha256"], "description": "channel list"}
            objects.append(self._outside(origin["channel_list"], None, None, **told))
        results = [self._result(folder, f"{here}/{name}", name, digest) for name, digest in sorted(digests.items())]
        self.parts += [result["@id"] for result in results]
        name = f"#{day.spec}-{day.date}"
        self.entity(
            name,
            "CreateAction",
            name=f"{day.spec} of {day.date}",
            description=f"{summary['valid_channels']} of {summary['requested_channels']} channels of the UTC day "
            f"{day.date}, GPS {summary['start_gps']} to {summary['end_gps']}",
            startTime=_time(summary["started_at_utc"]),
            endTime=_time(summary["completed_at_utc"]),
            actionStatus="http://schema.org/CompletedActionStatus",
            instrument=self._software(origin["version"]),
            agent=self._agent(),
            object=[entry for entry in objects if entry],
            result=results,
        )
        self.actions.append(name)
        self.days.append(day)
        self.last = max(self.last, _time(summary["completed_at_utc"]))

    def graph(self) -> Iterator[dict]:
        """All entities: the file of the crate and the crate first."""
        begin, end = self.days[0].date, max(day.date for day in self.days)
        specs = ", ".join(sorted({day.spec for day in self.days}))
        license_, agent = self._license(), self._agent()
        yield {
            "@id": NAME,
            "@type": "CreativeWork",
            "conformsTo": {"@id": _CRATE},
            "about": {"@id": "./"},
        }
        self.entity(_PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
        yield {
            "@id": "./",
            "@type": "Dataset",
            "name": self.about.name or f"{specs}, {begin} to {end}",
            "description": self.about.description
            or f"Gravitational-wave frame files of {specs} as daily HDF5 datasets: {len(self.days)} UTC days, "
            f"{begin} to {end}",
            "datePublished": self.last,
            "license": license_,
            **({"author": agent} if agent else {}),
            "conformsTo": {"@id": _PROFILE},
            "hasPart": [{"@id": part} for part in self.parts],
            "mentions": [{"@id": action} for action in self.actions],
        }
        yield from self.entities.values()

    def _license(self):
        given = self.about.license
        if urllib.parse.urlsplit(given).scheme in ("http", "https"):
            return self.entity(given, "CreativeWork", name=given, description="the licence of the dataset")
        words = given or "no licence was stated: ask who gave the frames"
        return self.entity("#license", "CreativeWork", name=words, description=words)

    def _agent(self):
        if not self.about.agent:
            return None
        if urllib.parse.urlsplit(self.about.agent).scheme in ("http", "https"):
            return self.entity(self.about.agent, "Person", name=self.about.agent)
        return self.entity("#agent", "Person", name=self.about.agent)

    def _software(self, version):
        return self.entity(
            f"#framemake-{urllib.parse.quote(version)}",
            "SoftwareApplication",
            name="framemake",
            softwareVersion=version,
        )

    def _setting(self, folder, name, value):
        """A setting as an entity that all days with the same value share."""
        if value is None:
            return None
        shared = f"#{name}={urllib.parse.quote(str(value))}"
        return self.entity(shared, "PropertyValue", name=name, value=str(value))

    def _frame(self, frame):
        span = f"GPS {frame['gps_start']:.10g}, {frame['duration']:.10g} s, {frame['status']}"
        return self._outside(frame["path"], frame["size_bytes"], frame["mtime"], description=span)

    def _outside(self, path, size, mtime, **more):
        """A file that the days were made from, and that is no part of the crate."""
        if remote.is_remote(path):
            name = remote.quoted(path)
        elif path[:1] == "/":
            name = "file://" + urllib.parse.quote(os.fsencode(path))
        else:
            return None
        seen = None if mtime is None else _moment(mtime)
        return self.entity(
            name,
            "CreativeWork",
            name=os.path.basename(path),
            contentSize=None if size is None else str(size),
            dateModified=seen,
            **more,
        )

    def _result(self, folder, path, name, digest):
        return self.entity(
            urllib.parse.quote(path),
            "File",
            name=os.path.basename(name),
            sha256=digest,
            contentSize=str(os.stat(os.path.join(folder.path, name)).st_size),
            encodingFormat=_FORMATS.get(os.path.splitext(name)[1]),
        )


def _member(summary, path):
    for name in path:
        summary = summary.get(name) if isinstance(summary, dict) else None
    return summary


def _time(text):
    """A time of a state or summary with its zone written as Python's fromisoformat has taken it since 3.7."""
    return f"{text[:19]}+00:00"


def _moment(seconds):
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).isoformat()
