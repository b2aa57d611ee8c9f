"""The errors that a command turns into one clear line."""


class BadInput(Exception):
    """Something that the user gave is wrong; the message says what, and names it."""


class Told(Exception):
    """The command before in a pipe has failed and said why: exit status 1 without another word."""


class Incomplete(Exception):
    """The work is done, but data is missing: exit status 3."""
