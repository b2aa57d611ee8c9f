"""Frame files of the other byte order, made of those that the writers here make."""

import re

from framemake.gwf import adc

WIDTHS = {"CHAR": 1, "INT_2": 2, "INT_4": 4, "INT_8": 8, "REAL_4": 4, "REAL_8": 8}


def big_endian(raw, packed=lambda compress, kind, data: (compress, data)):
    """The bytes of a little-endian frame file as a big-endian one, by the dictionary that the file itself holds.

    packed: called with compress, type and bytes of each FrVect; gives what takes the place of the first and the last,
    as many bytes.
    """
    out = bytearray(raw)
    known = {1: [("name", "STRING"), ("class", "INT_2U"), ("comment", "STRING"), ("chkSum", "INT_4U")]}
    known[2] = [(name, "STRING") for name in ("name", "class", "comment")] + [("chkSum", "INT_4U")]

    def swap(at, width):
        out[at : at + width] = raw[at : at + width][::-1]
        return int.from_bytes(raw[at : at + width], "little"), at + width

    def string(at):
        size, at = swap(at, 2)
        return raw[at : at + size].rstrip(b"\0").decode(), at + size

    at = 12
    for width in (2, 4, 8, 4, 8):
        at = swap(at, width)[1]
    position, defined = 40, 0
    while position < len(raw):
        length, at = swap(position, 8)
        kind, at = raw[at + 1], swap(at + 2, 4)[1]
        values, places = {}, {}
        for name, what in known[kind]:
            count, places[name] = 1, at
            for factor in re.findall(r"\[(\w+)\]", what):
                many = values.get(factor) if factor in values else int(factor)
                count *= 0 if many == 2**32 - 1 else many
            for _ in range(count):
                if what.startswith("STRING"):
                    values[name], at = string(at)
                elif what.startswith("PTR_STRUCT"):
                    at = swap(swap(at, 2)[1], 4)[1]
                else:
                    values[name], at = swap(at, WIDTHS[re.match(r"CHAR|\w+_\d", what)[0]])
        assert at == position + length
        if kind == 1:
            defined = values["class"]
            known[defined] = []
        elif kind == 2:
            known[defined].append((values["name"], values["class"]))
        if "compress" in values:
            begin, end = places["data"], places["nDim"]
            compress, data = packed(values["compress"], values["type"], bytes(raw[begin:end]))
            assert len(data) == end - begin
            out[places["compress"] : places["type"]] = compress.to_bytes(2, "big")
            out[begin:end] = data
        last = at == len(raw)
        if last:
            out[-12:-8] = adc.cksum(bytes(out[:40])).to_bytes(4, "big")
        end = at - (8 if last else 4)
        out[end : end + 4] = adc.cksum(bytes(out[position:end])).to_bytes(4, "big")
        position = at
    out[-4:] = adc.cksum(bytes(out[:-4])).to_bytes(4, "big")
    return bytes(out)
