"""bin/prune-channels: what the frames have of a list, and why the rest is left out."""

import numpy as np
import pytest
from framemake.gwf.write import Signal
from support.commands import DAY, START, frame_file, refused, run, well


def ramp(name, rate=1.0, dtype="f4", **how):
    return Signal(name, np.arange(round(10 * rate)).astype(dtype), rate, **how)


@pytest.fixture
def folder(tmp_path):
    """Write frame files of 10 s, one for each list of signals; the folder that they are in."""

    def written(*files):
        frames = tmp_path / "frames"
        frames.mkdir()
        for number, signals in enumerate(files):
            frame_file(frames, START + 10 * number, 10, *signals)
        return frames

    return written


@pytest.fixture
def prune(tmp_path):
    """Run prune-channels on a list and frames; its lines, the rejected ones and what was told."""

    def pruned(text, frames, *options):
        rejected = tmp_path / "rejected.tsv"
        status, out, told = run("prune-channels", frames, "-", "--rejected", rejected, *options, input=text)
        assert status == 0, told
        return out.splitlines(), rejected.read_text().splitlines(), told

    return pruned


def names(lines):
    return [line.split("\t")[0] for line in lines]


def test_a_channel_is_told_with_rate_kind_dtype_and_unit(folder, prune):
    signals = [
        ramp("V1:A", unit="V"),
        ramp("V1:B", 50.0, "f8", kind="proc", unit="m/s^2"),
        ramp("V1:C", 16.0, "i2", kind="sim"),
        ramp("V1:D", 0.1, "i4"),
    ]
    found, rejected, told = prune("V1:A\nV1:B\nV1:C\nV1:D\n", folder(signals))
    assert found == [
        "V1:A\t1.0\tadc\tfloat32\tV",
        "V1:B\t50.0\tproc\tfloat64\tm/s^2",
        "V1:C\t16.0\tsim\tfloat32\t",
        "V1:D\t0.1\tadc\tfloat64\t",
    ]
    assert (rejected, told) == ([], "")


def test_the_order_is_that_of_the_list_and_other_channels_stay_out(folder, prune):
    found, _, _ = prune("V1:C\nV1:A\n", folder([ramp("V1:A"), ramp("V1:B"), ramp("V1:C")]))
    assert names(found) == ["V1:C", "V1:A"]


def test_a_channel_in_no_frame_is_invalid(folder, prune):
    found, rejected, told = prune("V1:NOT\nV1:A\n", folder([ramp("V1:A")]))
    assert names(found) == ["V1:A"]
    assert rejected == ["V1:NOT\tinvalid\tin no frame"]
    assert told == ""


def test_a_complex_channel_is_pruned(folder, prune):
    found, rejected, _ = prune("V1:A\nV1:Z\n", folder([ramp("V1:A"), ramp("V1:Z", dtype="c8")]))
    assert names(found) == ["V1:A"]
    assert rejected == ["V1:Z\tpruned\tcomplex values"]


def test_a_name_that_cannot_be_a_dataset_is_invalid(folder, prune):
    found, rejected, _ = prune("V1:A\nV1:x/y\n", folder([ramp("V1:A"), ramp("V1:x/y")]))
    assert names(found) == ["V1:A"]
    assert rejected == ["V1:x/y\tinvalid\tname cannot be that of a dataset"]


def test_a_name_with_brackets_is_found(folder, prune):
    found, rejected, _ = prune("Bad_data_(data[0]=nan)\n", folder([ramp("Bad_data_(data[0]=nan)")]))
    assert names(found) == ["Bad_data_(data[0]=nan)"]
    assert rejected == []


@pytest.mark.parametrize("at", [0, 1, 3, 6])
def test_a_channel_that_one_file_alone_has_is_found(folder, prune, at):
    files = [[ramp("V1:A")] for _ in range(7)]
    files[at].append(ramp("V1:LATE", 50.0))
    found, rejected, _ = prune("V1:A\nV1:LATE\n", folder(*files))
    assert found[1] == "V1:LATE\t50.0\tadc\tfloat32\t"
    assert rejected == []


def test_a_channel_that_becomes_usable_is_found(folder, prune):
    found, rejected, _ = prune("V1:A\n", folder([ramp("V1:A", dtype="c8")], [ramp("V1:A")], [ramp("V1:A", dtype="c8")]))
    assert (names(found), rejected) == (["V1:A"], [])


def test_with_probe_a_channel_that_was_not_seen_stays(folder, prune):
    files = [[ramp("V1:A")] for _ in range(7)]
    files[3].append(ramp("V1:LATE"))
    found, rejected, _ = prune("V1:A\nV1:LATE\nV1:NOT\n", folder(*files), "--probe", "1")
    assert found == ["V1:A\t1.0\tadc\tfloat32\t", "V1:LATE\t\t\t\t", "V1:NOT\t\t\t\t"]
    assert rejected == []


def test_a_probe_that_saw_every_file_knows_what_is_in_none(folder, prune):
    found, rejected, _ = prune("V1:A\nV1:NOT\n", folder([ramp("V1:A")], [ramp("V1:A")]), "--probe", "2")
    assert names(found) == ["V1:A"]
    assert rejected == ["V1:NOT\tinvalid\tin no frame"]


def test_what_it_prints_is_a_channel_list(folder, prune, tmp_path):
    frames = folder([ramp("V1:A", unit="V # a"), ramp("V1:B", 0.1, kind="proc")])
    once = well("prune-channels", frames, "-", input="V1:B\nV1:A\n")
    assert names(once.splitlines()) == ["V1:B", "V1:A"]
    assert well("prune-channels", frames, "-", input=once) == once


def test_an_unseen_channel_is_looked_for_again(folder, prune):
    files = [[ramp("V1:A")] for _ in range(5)]
    files[2].append(ramp("V1:LATE"))
    frames = folder(*files)
    once, _, _ = prune("V1:LATE\n", frames, "--probe", "1")
    again, _, _ = prune("".join(f"{line}\n" for line in once), frames)
    assert again == ["V1:LATE\t1.0\tadc\tfloat32\t"]


def test_a_file_that_cannot_be_read_is_told_and_the_others_serve(folder, prune):
    frames = folder([ramp("V1:A")], [ramp("V1:A")], [ramp("V1:A"), ramp("V1:B")])
    empty, cut = frames / f"V-trend-{START}-10.gwf", frames / f"V-trend-{START + 10}-10.gwf"
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:3000])
    found, rejected, told = prune("V1:A\nV1:B\nV1:NOT\n", frames)
    assert names(found) == ["V1:A", "V1:B"]
    assert rejected == ["V1:NOT\tinvalid\tin no frame"]
    assert f"prune-channels: cannot be read, empty file: {str(empty)!r}\n" in told
    assert f"cannot be read, cut short or damaged: no table of contents: {str(cut)!r}\n" in told
    assert told.count("\n") == 2


def test_a_channel_whose_vector_is_damaged_in_one_file_is_taken_from_another(folder, prune):
    frames = folder([ramp("V1:A", 100.0, there=np.ones(1000, bool))], [ramp("V1:A", 100.0)])
    path = frames / f"V-trend-{START}-10.gwf"
    content = bytearray(path.read_bytes())
    content[content.index(b"V1:A\0") + 10] ^= 1  # of the structure that refers to its samples
    path.write_bytes(content)
    found, rejected, _ = prune("V1:A\n", frames)
    assert (names(found), rejected) == (["V1:A"], [])


def test_frames_may_come_from_standard_input(folder, tmp_path):
    frames = folder([ramp("V1:A")])
    (tmp_path / "list.txt").write_text("V1:A\n")
    table = well("list-frames", "--table", frames)
    assert well("prune-channels", "-", tmp_path / "list.txt", input=table) == "V1:A\t1.0\tadc\tfloat32\t\n"


def test_a_day_counts_only_its_own_frames(folder, tmp_path):
    frames = folder([ramp("V1:A")])
    frame_file(frames, START + 90000, 10, ramp("V1:TOMORROW"))
    out = well("prune-channels", frames, "-", "--day", DAY, input="V1:A\nV1:TOMORROW\n")
    assert names(out.splitlines()) == ["V1:A"]


def test_a_channel_listed_twice_is_told(folder, prune):
    found, _, told = prune("V1:A\nV1:A\n", folder([ramp("V1:A")]))
    assert names(found) == ["V1:A"]
    assert told == "prune-channels: listed more than once: 'V1:A'\n"


def test_out_is_a_file_in_place_of_stdout(folder, tmp_path):
    out = tmp_path / "valid.tsv"
    assert well("prune-channels", folder([ramp("V1:A")]), "-", "--out", out, input="V1:A\n") == ""
    assert out.read_text() == "V1:A\t1.0\tadc\tfloat32\t\n"


def test_old_frames_serve_too(shared):
    path = shared / "frames/v6/F-TEST-600000000-60.gwf"
    out = well("prune-channels", path, "-", input="H1:LSC-AS_Q\n")
    assert out == "H1:LSC-AS_Q\t16384.0\tadc\tfloat64\tcount\n"


def test_wrong_input_is_one_line(folder, tmp_path):
    frames = folder([ramp("V1:A")])
    assert "absent.txt" in refused("prune-channels", frames, tmp_path / "absent.txt")
    assert "no channel" in refused("prune-channels", frames, "-", input="# nothing\n")
    assert "absent.ffl" in refused("prune-channels", tmp_path / "absent.ffl", "-", input="V1:A\n")
    assert "both" in refused("prune-channels", "-", "-", input="V1:A\n")
    assert "--probe" in refused("prune-channels", frames, "-", "--probe", "0", status=2, input="V1:A\n")
    assert "required: CHANNELS" in refused("prune-channels", frames, status=2)


def test_a_list_that_is_a_frame_file_is_refused(folder):
    frames = folder([ramp("V1:A")])
    path = next(frames.iterdir())
    assert "not a list of channels" in refused("prune-channels", frames, path)


def test_a_hundred_files_that_cannot_be_read_are_not_a_hundred_messages(folder, tmp_path):
    frames = folder([ramp("V1:A")])
    for number in range(100):
        (frames / f"V-trend-{START + 1000 + number}-1.gwf").touch()
    status, out, told = run("prune-channels", frames, "-", input="V1:A\nV1:B\n")
    assert (status, out) == (0, "V1:A\t1.0\tadc\tfloat32\t\n")
    assert told.count("\n") == 11 and told.endswith("prune-channels: and 90 more such lines\n")


def test_a_channel_that_is_damaged_wherever_it_is_stays_and_is_told(folder, prune):
    """It was 'in no frame', though each frame has it."""
    frames = folder([ramp("V1:A", 100.0), ramp("V1:B")])
    path = frames / f"V-trend-{START}-10.gwf"
    content = bytearray(path.read_bytes())
    content[content.index(b"V1:A\0") + 10] ^= 1  # of the structure that refers to its samples
    path.write_bytes(content)
    found, rejected, told = prune("V1:A\nV1:B\n", frames)
    assert found == ["V1:A\t\t\t\t", "V1:B\t1.0\tadc\tfloat32\t"] and rejected == []
    assert told == "prune-channels: cannot be read in any frame looked into, damaged: checksum does not match: 'V1:A'\n"


def test_a_name_that_two_kinds_share_is_told(folder, prune):
    frames = folder([ramp("V1:A"), ramp("V1:A", 2.0, kind="proc"), ramp("V1:B")])
    found, _, told = prune("V1:A\nV1:B\n", frames)
    assert found[0] == "V1:A\t1.0\tadc\tfloat32\t"
    assert told == "prune-channels: several channels of a frame have this name, one is taken: 'V1:A'\n"


@pytest.mark.parametrize("many", [(), ("--probe", "8")])
def test_where_no_frame_can_be_read_that_is_the_one_line(folder, tmp_path, many):
    """With every frame absent it was an IndexError."""
    frames = folder([ramp("V1:A")])
    path = next(frames.iterdir())
    ffl = tmp_path / "absent.ffl"
    ffl.write_text(f"{path}x {START} 10 0 0\n")
    told = refused("prune-channels", ffl, "-", *many, input="V1:A\n")
    assert told == f"prune-channels: no frame can be read: {str(path) + 'x'!r} (absent)\n"
    path.write_bytes(b"")
    assert "no frame can be read" in run("prune-channels", frames, "-", *many, input="V1:A\n")[2]
