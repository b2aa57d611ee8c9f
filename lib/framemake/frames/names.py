"""The parts of a channel's or stream's name, what they mean in words for people, and which value is shown first.

The words are two tables, of the e-Lab's streams and of Virgo's channels, which tell where they are from; the rules by
which a name has parts are those of the e-Lab's list of sensors.
"""

import functools
import os
import re
from typing import NamedTuple

from .. import files

_TABLES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "tables")
TABLES = tuple(os.path.join(_TABLES, name) for name in ("elab_names.tsv", "virgo_names.tsv"))
_BAND = re.compile(r"(.+?)_([0-9.]+)_([0-9.]+)Hz")


class _Words(NamedTuple):
    text: str
    kind: str


@functools.cache
def _table() -> dict[tuple[str, str], _Words]:
    found = {}
    for path in TABLES:
        with files.opened(path, encoding="utf-8") as source:
            for line in source:
                part = line.rstrip("\n").split("\t")
                if not line.startswith("#") and len(part) >= 3:
                    found[part[0], part[1]] = _Words(part[2], part[3] if len(part) > 3 else "")
    return found


def parts(name: str) -> dict[str, str]:
    """{site, subsystem, station, sensor} of a name SITE:SUBSYSTEM-STATION_SENSOR; '' for what is not in it.

    As in the e-Lab's list of sensors: the sensor of H0:PEM-LVEA_SEISX is SEISX, its station LVEA; BRMS_PEM_ before the
    station of a DMT stream is left out, as every one has it: H0:DMT-BRMS_PEM_LVEA_SEISX_1_3Hz has the station LVEA
    too.  A name without '-', as Virgo's are, is split at its '_': V1:ENV_NE_SEISX has subsystem ENV, station NE.  A
    name with one part less (H0:GDS-EARTHQUAKE) has no station.
    """
    site, colon, rest = name.partition(":")
    if not colon:
        site, rest = "", name
    subsystem, dash, rest = rest.partition("-") if "-" in rest else rest.partition("_")
    if not dash:
        subsystem, rest = "", subsystem
    if subsystem == "DMT":
        rest = rest.removeprefix("BRMS_PEM_")
    station, underscore, sensor = rest.partition("_")
    if not underscore:
        station, sensor = "", rest
    return {"site": site, "subsystem": subsystem, "station": station, "sensor": sensor}


def told(name: str) -> dict[str, str]:
    """{title, kind, channel} of a name.

    title: such as 'Hanford, end station X: seismometer X'; of a sensor that no table knows its subsystem and the rest
    of the name, 'Virgo, north end: superattenuator suspension, F7_LVDT_H1_mean'; '' if they do not know that either.
    kind: the value that is shown first, 'rms' or 'mean'.  channel: of LIGO's frames, '' if the table has none.
    """
    found, table = parts(name), _table()
    band = _BAND.fullmatch(found["sensor"])
    sensor = table.get(("sensor", band[1] if band else found["sensor"]))
    places = [table.get((part, found[part])) for part in ("site", "station")]
    subsystem = table.get(("subsystem", found["subsystem"]))
    what = ""
    if sensor:
        what = sensor.text + (f", {band[2]} to {band[3]} Hz" if band else "")
    elif subsystem and places[1]:
        what = f"{subsystem.text}, {found['sensor']}"
    where = ", ".join(
        words.text if words else found[part]
        for part, words in zip(("site", "station"), places, strict=True)
        if found[part]
    )
    title = (f"{where}: {what}" if where else what) if what else ""
    # The level of a band is an rms already, of which the mean is shown.
    kinds = (sensor.kind if sensor else "", "mean" if band else "", subsystem.kind if subsystem else "")
    channel = table.get(("channel", name))
    return {"title": title, "kind": next(filter(None, kinds), "mean"), "channel": channel.text if channel else ""}


def words() -> dict[str, dict[str, str]]:
    """{part: {its text: what it means}} of sites, subsystems, stations and sensors."""
    found: dict[str, dict[str, str]] = {}
    for (part, text), meaning in _table().items():
        if part != "channel":
            found.setdefault(part, {})[text] = meaning.text
    return found
