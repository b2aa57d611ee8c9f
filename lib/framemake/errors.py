"""The errors that a command turns into one clear line, and their words."""


class BadInput(Exception):
    """Something that the user gave is wrong; the message says what, and names it."""


class Told(Exception):
    """The command before in a pipe has failed and said why: exit status 1 without another word."""


class Incomplete(Exception):
    """The work is done, but data is missing: exit status 3."""


def wording(error: BaseException) -> str:
    """The words of an error, as they stand after a colon; of an OSError the system's, without the path."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error) or type(error).__name__
