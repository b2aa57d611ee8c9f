"""The command contract, written once: options, messages, exit statuses, progress.  The commands alone import it."""

from .command import FAILED, LARGE, MISSING, USAGE, Command
from .options import (
    above_zero,
    add_flags,
    days_options,
    not_negative,
    positive,
    read_line,
    read_text,
    segments_of,
    segments_option,
    share,
    source,
    span_options,
    state_options,
    window_of,
    window_options,
)

__all__ = [
    "FAILED",
    "LARGE",
    "MISSING",
    "USAGE",
    "Command",
    "above_zero",
    "add_flags",
    "days_options",
    "not_negative",
    "positive",
    "read_line",
    "read_text",
    "segments_of",
    "segments_option",
    "share",
    "source",
    "span_options",
    "state_options",
    "window_of",
    "window_options",
]
