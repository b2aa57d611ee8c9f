"""framemake: gravitational-wave frame files (GWF) to daily HDF5 datasets and e-Lab streams.

    import framemake

    day = framemake.day_window("2024-04-10")
    frames, odd = framemake.list_frames("trend.ffl", day)
    file = framemake.open_frame(frames[0].path)
    series = file.read(0, "V1:Sa_NE_CH00000_mean", "adc")
    days = framemake.open_days("out")
    series = days.read("V1:Sa_NE_CH00000_mean", "2024-04-10T12:00", "2024-04-12")
    times, values = framemake.read_stream("streams", "H0:PEM-EX_SEISX", "mean", day.start, day.end)

Times are GPS seconds, spans are half open.  What the user gave and is wrong raises BadInput, a frame file that cannot
be read BadFrame.  Nothing is loaded before it is asked for: the import itself costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .version import VERSION as __version__

if TYPE_CHECKING:
    from .day.dayfile import open_day
    from .day.statistics import digest
    from .days.engine import Engine as XarrayEngine
    from .days.read import open_days
    from .errors import BadInput
    from .frames.catalog import Frame
    from .frames.lists import Listing, list_frames
    from .gps import Window, day_window
    from .gwf import BadFrame, Series
    from .gwf import open_file as open_frame
    from .streams.reading import read_stream

__all__ = [
    "BadFrame",
    "BadInput",
    "Frame",
    "Listing",
    "Series",
    "Window",
    "XarrayEngine",
    "__version__",
    "day_window",
    "digest",
    "list_frames",
    "open_day",
    "open_days",
    "open_frame",
    "read_stream",
]

# Where each name comes from: its module, and what it is called there.
_PLACES = {
    "BadFrame": ("framemake.gwf", "BadFrame"),
    "BadInput": ("framemake.errors", "BadInput"),
    "Frame": ("framemake.frames.catalog", "Frame"),
    "Listing": ("framemake.frames.lists", "Listing"),
    "Series": ("framemake.gwf", "Series"),
    "Window": ("framemake.gps", "Window"),
    "XarrayEngine": ("framemake.days.engine", "Engine"),
    "day_window": ("framemake.gps", "day_window"),
    "digest": ("framemake.day.statistics", "digest"),
    "list_frames": ("framemake.frames.lists", "list_frames"),
    "open_day": ("framemake.day.dayfile", "open_day"),
    "open_days": ("framemake.days.read", "open_days"),
    "open_frame": ("framemake.gwf", "open_file"),
    "read_stream": ("framemake.streams.reading", "read_stream"),
}


def __getattr__(name: str) -> object:
    """Load a name when it is asked for."""
    try:
        module, attribute = _PLACES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
