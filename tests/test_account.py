"""account.Account: joined in any order, cut in any way, saved and loaded, it tells the same."""

import json

import h5py
import numpy as np
import pytest
from framemake.day.account import Account
from hypothesis import given
from hypothesis import strategies as some

UNITS = ["", "V", "um", "m/s"]


def filled(pairs, names, gifts):
    """An Account of channels `names`; gifts: [(pair, name, unit)]."""
    account = Account(pairs, len(names))
    for pair, name, unit in gifts:
        account.gave[account.row_of(pair), names.index(name)] = account.number_of(unit)
        account.seen.add(name)
    return account


def meaning(account, names):
    """{(pair, name): unit}, whatever the numbers of the units are."""
    unit = {number: name for name, number in account.units.items()}
    rows, columns = np.nonzero(account.gave)
    return {
        (account.pairs[row], names[column]): unit[int(account.gave[row, column])]
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    }


PAIRS = [(frame, increment) for frame in range(3) for increment in range(2)]
NAMES = ["A", "B", "C"]
gifts = some.dictionaries(
    some.tuples(some.sampled_from(PAIRS), some.sampled_from(NAMES)), some.sampled_from(UNITS), max_size=18
)


@given(gifts, some.randoms())
def test_the_accounts_of_blocks_join_to_that_of_the_whole(what, chance):
    """Blocks are cut by time and by channel; each numbers units in the order in which it met them."""
    parts = []
    for frame in range(3):
        for names in (["A"], ["C", "B"]):
            pairs = [pair for pair in PAIRS if pair[0] == frame]
            mine = [(p, n, unit) for (p, n), unit in what.items() if p in pairs and n in names]
            chance.shuffle(mine)
            parts.append((filled(pairs, names, mine), names))
    chance.shuffle(parts)
    whole = Account(PAIRS, len(NAMES))
    for part, names in parts:
        whole.join(part, [NAMES.index(name) for name in names])
    assert meaning(whole, NAMES) == what
    assert whole.seen == {name for _, name in what}
    for column, name in enumerate(NAMES):
        told = whole.units_of(column)
        assert sum(told.values()) == sum(n == name for _, n in what)
        assert set(told) == {unit for (_, n), unit in what.items() if n == name}
    assert meaning(whole.by_unit_name(), NAMES) == what
    assert list(whole.by_unit_name().units) == sorted(whole.units)


@given(gifts)
def test_saved_and_loaded_it_is_the_same(what):
    account = filled(PAIRS, NAMES, [(pair, name, unit) for (pair, name), unit in what.items()])
    account.bad = {("/f.gwf", ""): "empty file", ("/g.gwf", "A"): "damaged"}
    account.transient, account.problems = {"/h.gwf"}, {"B": "complex values"}
    with h5py.File("none", "w", driver="core", backing_store=False) as file:
        account.save(file, NAMES)
        again = Account.load(file)
    assert meaning(again, NAMES) == what and again.pairs == PAIRS
    for kept in ("bad", "transient", "problems", "seen", "units"):
        assert getattr(again, kept) == getattr(account, kept), kept


def test_the_facts_are_in_the_order_of_the_list():
    account = Account([], 3)
    account.seen, account.problems = {"C", "A"}, {"C": "odd", "B": "odd too"}
    facts = account.facts(["B", "C", "A"])
    assert facts["seen"] == ["C", "A"] and list(facts["problems"]) == ["B", "C"]
    assert json.loads(json.dumps(facts)) == facts


def test_a_whole_file_and_one_channel_of_it_are_told_apart():
    account = Account([], 0)
    account.bad = {("/f.gwf", "A"): "damaged", ("/g.gwf", ""): "empty file"}
    assert account.unreadable() == {"/g.gwf": "empty file"}


def test_a_pair_that_the_whole_does_not_have_is_an_error():
    with pytest.raises(KeyError):
        Account([(0, 0)], 1).join(Account([(1, 0)], 1), [0])


def test_what_holds_none_is_an_error():
    with h5py.File("none", "w", driver="core", backing_store=False) as file, pytest.raises(KeyError):
        Account.load(file)
