"""What is compiled for the streams, and numpy in its place, give the same bytes; and it is kept to its bounds."""

import pytest
from framemake import compiled
from support import sanitized, two_ways
from support.commands import needs


@pytest.fixture(autouse=True)
def is_compiled():
    if compiled.library() is None:
        needs("cc")
        pytest.fail("there is a compiler, but nothing is compiled: see make setup")


def test_the_same_records_come_of_the_same_samples():
    two_ways.records_are_the_same()


def test_the_same_envelope_comes_of_the_same_records():
    two_ways.envelopes_are_the_same()


def test_what_is_out_of_order_or_of_bounds_is_no_matter_of_the_compiled_code():
    two_ways.only_what_is_in_order_and_in_bounds_is_taken()


@pytest.mark.long
def test_many_more_of_both():
    """As many as of every property in a long run."""
    two_ways.records_are_the_same()
    two_ways.envelopes_are_the_same()


@pytest.mark.long
def test_they_keep_to_their_bounds_under_sanitizers(tmp_path):
    """Both ways give the same there too."""
    code = """
from framemake.streams import envelope
from framemake.streams.intake import sums
from hypothesis import settings
settings.register_profile("here", max_examples=1000, deadline=None, database=None)
settings.load_profile("here")
from support import two_ways
two_ways.records_are_the_same()
two_ways.envelopes_are_the_same()
two_ways.only_what_is_in_order_and_in_bounds_is_taken()
assert sums._call() is not None and envelope._call() is not None
print("done")
"""
    assert sanitized.run(tmp_path, code) == "done\n"
