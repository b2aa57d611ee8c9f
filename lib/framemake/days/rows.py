"""How much of each channel days have, as a picture: a row a channel, by subsystem, a column a day.

Blue is what is whole, orange what is missing, as in the report: a small part is seen, as the shade goes by its square
root.  Channels are grouped by what
stands before the first '_' or '-' behind the colon of their name.  Where there is room each row has its name, else
each group.
"""

import itertools
import logging
import re
import warnings
from collections.abc import Sequence

import numpy as np

from .. import files
from ..errors import BadInput

# Pixels: of a row that has its name, of all rows if there are many, and of all columns.
_NAMED, _HIGH, _WIDE = 13, 1200, 900
_LEFT, _TOP, _BOTTOM, _RIGHT, _DPI = 300, 70, 90, 30, 100
_MOST_NAMED = 150
# RGB of a channel that is whole, of one that lacks a little, a quarter, all; of a day that is not there.
_WHOLE, _LOSS, _NO_DAY = (198, 217, 236), ((253, 208, 162), (241, 105, 19), (140, 45, 4)), (255, 255, 255)


def group_of(name: str) -> str:
    """The subsystem of a channel: 'ENV' of V1:ENV_CEB_TEMP, 'PEM' of H0:PEM-EX_SEISX."""
    match = re.match(r"(?:[^:]*:)?([^_-]+)", name)
    return match[1] if match else name


def save(path: str, names: Sequence[str], dates: Sequence[str], parts: np.ndarray, worst: bool = False) -> None:
    """Write the picture of channels and days to a PNG file; parts: as of find.by_day.

    worst: groups and channels with the least coverage first; else by name.  Raises BadInput for another form of file.
    """
    if not path.lower().endswith(".png"):
        raise BadInput(f"the picture is a PNG, want FILE.png: {path!r}")
    covered = np.nan_to_num(parts).mean(axis=1)
    least = {
        group: min(covered[at] for at in some)
        for group, some in itertools.groupby(
            sorted(range(len(names)), key=lambda at: group_of(names[at])), lambda at: group_of(names[at])
        )
    }
    rank = (lambda at: (least[group_of(names[at])], group_of(names[at]), covered[at])) if worst else (lambda at: ())
    order = sorted(range(len(names)), key=lambda at: (*rank(at), group_of(names[at]), names[at]))
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        warnings.simplefilter("ignore")
        matplotlib.rcParams.update({"font.size": 8, "text.parse_math": False})
        drawn = _figure([names[at] for at in order], dates, parts[order])
        with files.replacing(path) as aside:
            drawn.savefig(aside, format="png", dpi=_DPI, metadata={"Title": "channels and days"})


def _figure(names, dates, parts):
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    named = len(names) <= _MOST_NAMED
    tall = _NAMED * len(names) if named else max(_HIGH, len(names))
    wide, high = _LEFT + _WIDE + _RIGHT, _TOP + tall + _BOTTOM
    figure = Figure(figsize=(wide / _DPI, high / _DPI), dpi=_DPI)
    axes = figure.add_axes((_LEFT / wide, _BOTTOM / high, _WIDE / wide, tall / high), label="channels")
    axes.imshow(_shaded(parts), aspect="auto", interpolation="nearest", extent=(0, len(dates), len(names), 0))
    groups = [(name, len(list(some))) for name, some in itertools.groupby(names, group_of)]
    ends = np.cumsum([count for _, count in groups])
    axes.hlines(ends[:-1], 0, len(dates), colors="0.4", linewidths=0.5)
    plain = lambda text: "".join(mark if mark.isprintable() else "?" for mark in text)  # noqa: E731
    if named:
        axes.set_yticks(np.arange(len(names)) + 0.5, [plain(name)[:48] for name in names])
    else:
        room = [at for at, (_, count) in enumerate(groups) if count * tall / len(names) >= 10]
        axes.set_yticks(
            [ends[at] - groups[at][1] / 2 for at in room],
            [f"{plain(groups[at][0])[:30]} ({groups[at][1]})" for at in room],
        )
    every = max(1, -(-len(dates) // 10))
    axes.set_xticks(np.arange(0, len(dates), every) + 0.5, dates[::every])
    axes.tick_params(top=True, labeltop=True, labelbottom=False, length=2)
    whole = int((np.nan_to_num(parts) > 1 - 1e-9).all(axis=1).sum())
    title = f"{len(names)} channels, {whole} without a hole; {dates[0]} to {dates[-1]}"
    figure.text(10 / wide, 1 - 18 / high, title, va="center", fontsize=12, fontweight="bold")
    kinds = {"all there": 1, "1 % missing": 0.99, "25 %": 0.75, "nothing there": 0, "no such day": np.nan}
    colours = _shaded(np.array([list(kinds.values())]))[0] / 255
    figure.legend(
        [Patch(facecolor=colour, edgecolor="0.4", linewidth=0.7) for colour in colours], list(kinds), ncols=len(kinds),
        loc="lower left", bbox_to_anchor=(_LEFT / wide, 25 / high), frameon=False,
    )  # fmt: skip
    return figure


def _shaded(parts: np.ndarray) -> np.ndarray:
    """The colour of each part, uint8 (..., 3)."""
    lost = 2 * np.sqrt(np.clip(1 - np.nan_to_num(parts), 0, 1))[..., None]
    low, middle, most = (np.array(each, dtype=float) for each in _LOSS)
    found = np.where(lost < 1, low + lost * (middle - low), middle + (lost - 1) * (most - middle))
    found[parts > 1 - 1e-9] = _WHOLE
    found[np.isnan(parts)] = _NO_DAY
    return np.round(found).astype(np.uint8)
