"""The records of a stream, against the rules written out one sample after another."""

import math
import random

import numpy as np
import pytest
from framemake.streams import records
from framemake.streams.intake import sums
from framemake.streams.intake.sums import FramePiece, Running, arrange, extend

START = 1148000400.0


def plainly(pieces, rate, integer=False):
    """(records, index entries) of pieces that follow one another, by the rules, one sample at a time."""
    kept, index = [], []
    total = square = 0 if integer else 0.0
    last, interval, mean, rms = 0.0, -1.0, 0, 0

    def add(t, weight, valid):
        nonlocal total, square, last, step
        total += mean * weight
        square += rms * rms * weight
        listed = index[-1][1] if index else -1.0
        if abs(t - last - step) >= 1e-8 or abs(t - last - listed) >= 1e-8:
            index.append((last, t - last))
            step = t - last
        last = t
        kept.append((255 if valid else 0, t, total, square))

    for piece in pieces:
        values = []
        for array in (piece.mean, piece.rms):
            array = array.tolist()
            zeros = [i for i, value in enumerate(array) if value == 0]
            for i in zeros:
                if i > 0:
                    array[i - 1] = 0
                if 0 < i < len(array) - 1:
                    array[i + 1] = 0
            values.append(array)
        step = piece.interval
        if last > 0 and piece.start - last > interval:
            inside = math.trunc((piece.start - last) * rate - 2)
            add(last + 1 / rate, 1, False)
            if piece.start - 1 / rate > last:
                add(piece.start - 1 / rate, inside, False)
        for i, (m, r) in enumerate(zip(*values, strict=True)):
            if m != 0:
                mean, rms = m, r
            add(piece.start + i * piece.interval, math.trunc(piece.interval * rate), m != 0)
        interval = piece.interval
    return kept, index


def random_pieces(chance, dtype):
    pieces, at = [], START
    for _ in range(chance.randrange(1, 9)):
        fine = chance.random() < 0.4
        interval, count = (1.0, chance.choice((60, 600))) if fine else (60.0, 60)
        values = [np.array([chance.uniform(-900, 900) for _ in range(count)]).astype(dtype) for _ in range(2)]
        for array in values:
            for _ in range(chance.choice((0, 1, 4))):
                where = chance.choice((0, 1, 2, count - 1, chance.randrange(count)))
                array[where : where + chance.randrange(1, 4)] = 0
        pieces.append(FramePiece(at, interval, *values, None, fine))
        at += interval * count + chance.choice((0, 0, 0, 1, 2, 3, 60, 600, 86400))
    return pieces


@pytest.mark.parametrize("rate", (1, 16, 256, 2048))
@pytest.mark.parametrize(("datatype", "dtype"), (("float", "f4"), ("double", "f8"), ("int", "i4")))
def test_records_and_index_are_those_of_the_rules(rate, datatype, dtype):
    chance = random.Random(rate)
    for _ in range(12):
        pieces = random_pieces(chance, dtype)
        expected, entries = plainly(pieces, rate, datatype == "int")
        made, index, _ = extend(Running(), rate, datatype, pieces)
        assert made.tobytes() == np.array(expected, records.record(datatype)).tobytes()
        assert index.tobytes() == np.array(entries, records.INDEX).tobytes()


def test_a_stream_in_parts_is_that_in_one():
    chance = random.Random(7)
    for _ in range(20):
        pieces = random_pieces(chance, "f4")
        whole = extend(Running(), 256, "float", pieces)
        running, made, index = Running(), b"", b""
        for piece in pieces:
            part, entries, running = extend(running, 256, "float", [piece])
            made, index = made + part.tobytes(), index + entries.tobytes()
        assert (made, index, running) == (whole[0].tobytes(), whole[1].tobytes(), whole[2])


def test_a_gap_of_one_sample_is_one_invalid_record():
    ones = np.ones(60)
    pieces = [FramePiece(START, 1.0, ones, ones, None, True), FramePiece(START + 61, 1.0, ones, ones, None, True)]
    made, index, _ = extend(Running(), 1, "double", pieces)
    assert (made["time"] - START).tolist() == list(range(121))
    assert np.flatnonzero(made["valid"] == 0).tolist() == [60]
    assert index.tolist() == [(0.0, START), (START, 1.0)]
    assert made["sum"].tolist() == list(range(1, 122))


def test_the_weight_of_a_gap_is_at_most_that_of_the_original():
    ones = np.ones(60)
    pieces = [FramePiece(1000.0, 60.0, ones, ones, None, False), FramePiece(1e9, 60.0, ones, ones, None, False)]
    made, _, _ = extend(Running(), 2048, "double", pieces)
    assert made["sum"][61] - made["sum"][60] == 2**31 - 1


def piece(start, interval, count, fine):
    return FramePiece(float(start), float(interval), np.ones(count), np.ones(count), None, fine)


def test_second_trend_goes_before_minute_trend_where_they_overlap():
    pieces = [piece(0, 60, 60, False), piece(600, 1, 600, True), piece(1800, 1, 60, True)]
    assert arrange(pieces, 0) == [(0, 0, 10), (1, 0, 600), (0, 20, 30), (2, 0, 60), (0, 31, 60)]


def test_a_minute_sample_that_second_trend_covers_in_part_gives_way():
    assert arrange([piece(0, 60, 5, False), piece(90, 1, 60, True)], 0) == [(0, 0, 1), (1, 0, 60), (0, 3, 5)]


def test_of_one_trend_the_first_in_time_goes_before():
    assert arrange([piece(30, 1, 60, True), piece(0, 1, 60, True)], 0) == [(1, 0, 60), (0, 30, 60)]


def test_nothing_before_the_end_of_what_is_stored_is_taken():
    assert arrange([piece(0, 60, 60, False)], 600.0) == [(0, 10, 60)]
    assert arrange([piece(0, 60, 60, False)], 3600.0) == []


def test_a_sum_that_its_type_cannot_hold_is_refused():
    most = np.full(60, 2**31 - 1, "i4")
    with pytest.raises(sums.Overflow):
        extend(Running(), 2048, "int", [FramePiece(START, 60.0, most, most, None, False)])


def test_frames_that_are_not_in_order_in_their_file_give_what_they_give_in_order():
    ones = np.ones(60)
    pieces = [FramePiece(START + at, 1.0, (at + 1) * ones, ones, None, True) for at in (0, 60, 120)]
    wanted = extend(Running(), 16, "double", pieces)
    for way in (extend, lambda *given: sums._by_numpy(*given, arrange(given[-1], -np.inf))):
        made, index, ends = way(Running(), 16, "double", [pieces[2], pieces[0], pieces[1]])
        assert (made.tobytes(), index.tobytes(), ends) == (wanted[0].tobytes(), wanted[1].tobytes(), wanted[2])
