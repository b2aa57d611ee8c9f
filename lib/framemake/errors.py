"""The errors that a command turns into one clear line, and their words."""


class BadInput(Exception):
    """Something that the user gave is wrong; the message says what, and names it.

    reason: what programs are told of it, in the state of a day; '' for nothing in particular.
    """

    reason = ""


class NoFrame(BadInput):
    """No frame file is listed of the span that is wanted."""

    reason = "no_frame"


class Told(Exception):
    """The command before in a pipe has failed and said why: exit status 1 without another word."""


class Incomplete(Exception):
    """The work is done, but data is missing: exit status 3."""


class WouldLose(Incomplete):
    """Something finished stays as it is, as what would replace it has less; the message says what would be lost."""


def wording(error: BaseException) -> str:
    """The words of an error, as they stand after a colon; of an OSError the system's, without the path."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error) or type(error).__name__


def on_a_line(text: object) -> str:
    """What another program says, as part of a line, without control characters: they could move a terminal's cursor."""
    return "".join(filter(str.isprintable, " ".join(str(text).split())))[:200]
