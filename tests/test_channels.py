"""Channel lists in every format that is found in the field."""

import json

import pytest
from framemake.errors import BadInput
from framemake.frames import channels
from framemake.frames.channels import Channel

AB = ["V1:A", "V1:B"]


def names(text):
    """The names of a list about which nothing is odd."""
    found, told = channels.read(text, "list")
    assert told == []
    return [channel.name for channel in found]


@pytest.mark.parametrize(
    "text",
    [
        "V1:A\nV1:B\n",
        "V1:A\nV1:B",
        "V1:A\r\nV1:B\r\n",
        "\ufeffV1:A\nV1:B\n",
        "\ufeffV1:A\r\nV1:B",
        "\n\nV1:A\n\n  \nV1:B\n\n",
        "  V1:A  \n\tV1:B\n",
        "# of the night shift\nV1:A\n  # V1:C\nV1:B\n",
        "V1:A # the first\nV1:B# the second\n",
        "V1:A 1\nV1:B 16384\n",
        "V1:A 1.0 adc\nV1:B 16384 proc\n",
        "V1:A\t1\nV1:B\t50\n",
    ],
)
def test_a_list_has_a_name_a_line_and_maybe_more(text):
    assert names(text) == AB


@pytest.mark.parametrize(
    "text",
    [
        "[DETCHAR]\nV1:A 2048 safe clean\nV1:B 2048 unsafe clean\n",
        "[one]\nV1:A 2048 safe clean\n\n[two]\n; V1:C 1 safe clean\nV1:B 256 safe glitchy\n",
        "[V1-x]\nname = X\nflow = 10\nparent = V1:PARENT\nstate-flag = V1:OK:1\nframetype=V1Online\n"
        "channels = V1:A 16384 unsafe clean\n    V1:B 2048 safe clean\n",
        "[V1-x]\nchannels =\n\tV1:A 16384 unsafe clean\n\tV1:B 2048 safe clean\nq-high = 150\n",
        "[V1-x]\r\nname = X\r\nV1:A 1 safe clean\r\nV1:B 1 safe clean\r\n",
        "# head\n[V1-x]\nV1:A 1 safe clean\nV1:B 1 safe clean",
    ],
)
def test_an_ini_gives_its_channels_and_not_its_settings(text):
    assert names(text) == AB


@pytest.mark.parametrize(
    "value",
    [
        AB,
        [{"name": "V1:A"}, {"name": "V1:B", "rate": 1}],
        [{"channel": "V1:A"}, {"channel_name": "V1:B"}],
        [["V1:A", 1], ["V1:B", 50]],
        {"channels": AB},
        {"version": 3, "channels": [{"name": "V1:A"}, {"name": "V1:B"}]},
        {"V1:A": {"rate": 1}, "V1:B": {"rate": 50}},
        {"V1:A": 1, "V1:B": 50},
        {"SUS": ["V1:A"], "PEM": ["V1:B"]},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_json_gives_its_names(value, indent):
    assert names(json.dumps(value, indent=indent)) == AB


@pytest.mark.parametrize(
    "text", ['["V1:A", "V1:B"', '{"V1:A": 1,', '["V1:A",\n"V1:B",\n', "[1, 2]", '["V1:A", null]', "{}"]
)
def test_broken_json_is_refused_and_not_read_as_something_else(text):
    with pytest.raises(BadInput):
        channels.read(text, "list.json")


@pytest.mark.parametrize(
    "text",
    [
        "channel,rate\nV1:A,1\nV1:B,50\n",
        "rate,channel,unit\n1,V1:A,V\n50,V1:B,\n",
        "Channel_Name,comment\r\nV1:A,x\r\nV1:B,y\r\n",
        'name,comment\n"V1:A","one, two"\n"V1:B",\n',
        "channel\nV1:A\nV1:B\n",
        "V1:A,1,V\nV1:B,50,m\n",
        "1,V1:A\n2,V1:B\n",
        "V1:A,\nV1:B,\n",
        "V1:A,V1:B\n",
        "\ufeffname,rate\r\nV1:A,1\r\nV1:B,2",
    ],
)
def test_csv_gives_its_channel_column_with_or_without_header(text):
    assert names(text) == AB


def test_a_short_line_of_a_csv_is_told_with_its_number():
    with pytest.raises(BadInput, match="line 3"):
        channels.read("rate,channel\n1,V1:A\n50\n", "list.csv")


@pytest.mark.parametrize(
    "name",
    [
        "Bad_data_(data[0]=nan)",
        "H1:LSC-AS_Q.mean",
        "L1:PEM-EY_SEIS_VEA_FLOOR_Y_BLRMS_100MHZ300",
        "V1:Hrec_hoft_16384Hz",
        "V1:a:b-c.d_e[3](x=1)",
        "Adc0",
        "h",
        "V1:Sa_WEB.é",
    ],
)
@pytest.mark.parametrize("form", ["{}\n", "V1:FIRST\n{}", "[x]\n{} 16384 safe clean\n", "channel,rate\n{},1\n"])
def test_names_are_taken_as_they_are(name, form):
    assert names(form.format(name))[-1] == name
    assert names(json.dumps([name])) == [name]


def test_duplicates_are_told_and_the_first_one_keeps_its_place():
    found, told = channels.read("V1:B\nV1:A\nV1:B 50\nV1:B\n", "list")
    assert [channel.name for channel in found] == ["V1:B", "V1:A"]
    assert told == ["listed more than once: 'V1:B'"] * 2


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "\ufeff", "[section]\nname = x\n", "[]", "channel,rate\n"])
def test_a_list_without_a_channel_is_an_error_that_names_it(text):
    with pytest.raises(BadInput, match=r"the-list\.txt"):
        channels.read(text, "the-list.txt")


@pytest.mark.parametrize("text", ["IGWD\0\x08\x04\nV1:A\n", "V1:A\n\0\0\0\n", "V1:A\0\nV1:B\n"])
def test_a_binary_file_is_no_list(text):
    with pytest.raises(BadInput):
        channels.read(text, "some.gwf")


def test_a_table_reads_back_as_what_it_was():
    was = [
        Channel("V1:A", 1.0, "adc", "float32", "V"),
        Channel("V1:B", 1 / 60, "proc", "float64", "m/s^2 #2, \u00b5"),
        Channel("Bad_data_(data[0]=nan)", 16384.0, "sim", "float32", ""),
        Channel("V1:UNSEEN"),
    ]
    text = "".join(channels.table_line(channel) + "\n" for channel in was)
    assert channels.read(text, "table") == (was, [])
    assert all(line.count("\t") == 4 for line in text.splitlines())


def test_a_unit_cannot_break_the_table():
    line = channels.table_line(Channel("V1:A", 1.0, "adc", "float32", "a\tb\nc"))
    assert line == "V1:A\t1.0\tadc\tfloat32\ta b c"


@pytest.mark.parametrize("name", ["a/b", "/", ".", "..", "a\tb", "a\0b", "a\x7f"])
def test_a_name_that_hdf5_would_take_apart_is_unfit(name):
    assert channels.unfit(name)


@pytest.mark.parametrize("name", ["V1:A", "a.b", "...", "Bad_data_(data[0]=nan)", "é"])
def test_any_other_name_is_fit(name):
    assert channels.unfit(name) == ""


def test_the_virgo_o4_list_gives_every_line(shared):
    text = (shared / "channels/virgo_o4_channels.txt").read_bytes().decode()
    lines = [line for line in text.split("\r\n") if line]
    found = names(text)
    assert found == lines
    assert len(set(found)) == 1592


def test_the_e_lab_sensor_list_gives_its_channel_column(shared):
    text = (shared / "channels/elabs_sensorlist-current.txt").read_text()
    wanted = [line.split("\t")[-1] for line in text.splitlines() if ":" in line]
    assert len(wanted) == 189
    assert names(text) == wanted
