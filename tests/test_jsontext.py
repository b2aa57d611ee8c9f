"""jsontext: members of a text as json.loads gives them, and a value indented as json.dumps does it."""

import json

import pytest
from framemake.jsontext import indented, members
from hypothesis import given
from hypothesis import strategies as some

LEAVES = some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text()
VALUES = some.recursive(LEAVES, lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner), max_leaves=20)
OBJECTS = some.dictionaries(some.text(max_size=5), VALUES)
INDENTS = some.none() | some.integers(0, 3) | some.just("\t\r\n ")
SEPARATORS = some.sampled_from([(",", ":"), (", ", ": "), ("\n ,  ", "\t:\r\n")])


@pytest.mark.slow
@given(some.data(), OBJECTS, INDENTS, SEPARATORS, some.booleans())
def test_the_members_of_any_object_in_any_order_and_form(data, whole, indent, separators, ascii_only):
    order = data.draw(some.permutations(list(whole)))
    names = data.draw(some.sets(some.sampled_from(order) if order else some.nothing())) | {"\nnever"}
    shuffled = {name: whole[name] for name in order}
    text = json.dumps(shuffled, indent=indent, separators=separators, ensure_ascii=ascii_only)
    for wanted in (names, names - {"\nnever"}, set(whole)):
        expected = {name: value for name, value in whole.items() if name in wanted}
        assert members(f" {text}\n", wanted) == expected
        assert members(text, sorted(wanted)) == expected


def test_a_key_further_in_is_no_member():
    text = '{"a": {"read": 1}, "b": ["read", {"read": 2}], "c": "\\"read\\": 3", "read": [4]}'
    assert members(text, ["read"]) == {"read": [4]}


def test_nothing_is_looked_at_after_the_last_that_is_wanted():
    assert members('{"a": 1, "b": [2], this is no JSON', ["b", "a"]) == {"a": 1, "b": [2]}


@pytest.mark.parametrize(
    "text",
    ["", " ", "[]", "1", '"a"', "{", '{"a"', '{"a":', '{"a": 1', '{"a": 1,', '{"a": 1,}', "{1: 2}", '{"a" 1}',
     '{"a": 1 "b": 2}', "{a: 1}", '{"a": 1}}', '{} {}', '{"a": nothing}', '{,}', '{"a": 1]'],
)  # fmt: skip
def test_what_is_no_object_is_an_error_where_it_has_to_be_looked_at(text):
    with pytest.raises(ValueError):
        members(text, ["never"])


@pytest.mark.slow
@given(VALUES | OBJECTS)
def test_it_is_indented_as_json_does_it(value):
    assert indented(value) == json.dumps(value, indent=1)
    assert indented({"a": (value,)}) == json.dumps({"a": (value,)}, indent=1)
