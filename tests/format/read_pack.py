#!/usr/bin/env python3
"""Prints the tensors of a pack. Written from spec/format.md alone, as a check that it is complete.

Only the standard library: no checksums are verified (no XXH3 there), and no zstd planes are read.
usage: read_pack.py FILE [--expect TEXTFILE]
"""
import struct
import sys

DTYPES = {1: ("bool", 1, "?"), 2: ("uint8", 1, "B"), 3: ("int8", 1, "b"), 4: ("int16", 2, "h"),
          5: ("int32", 4, "i"), 6: ("int64", 8, "q"), 7: ("uint16", 2, "H"), 8: ("uint32", 4, "I"),
          9: ("uint64", 8, "Q"), 12: ("float32", 4, "f"), 13: ("float64", 8, "d")}


class Columns:
    """Reads little-endian columns one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        self.at += size
        return self.data[self.at - size:self.at]

    def column(self, code, count):
        return list(struct.unpack("<%d%s" % (count, code),
                                  self.take(count * struct.calcsize("<" + code))))


def cbor(data, at=0):
    """One CBOR item: (value, offset behind it)."""
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        if info == 27:
            return struct.unpack(">d", data[at:at + 8])[0], at + 8
        return {20: False, 21: True, 22: None}[info], at
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
    number = int.from_bytes(data[at:at + size], "big") if size else info
    at += size
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major == 2:
        return data[at:at + number], at + number
    if major == 3:
        return data[at:at + number].decode(), at + number
    items = []
    for _ in range(number * (2 if major == 5 else 1)):
        item, at = cbor(data, at)
        items.append(item)
    return (dict(zip(items[::2], items[1::2])) if major == 5 else items), at


def decode_planes(stored, raw_size):
    scalar_size, flags = stored[0], stored[1]
    count, at = raw_size // scalar_size, 4 + 8 * scalar_size
    planes = []
    for k in range(scalar_size):
        method, size = stored[4 + 8 * k], struct.unpack_from("<I", stored, 8 + 8 * k)[0]
        data = stored[at:at + size]
        at += size
        if method == 1:
            raise SystemExit("a zstd plane: this reader has no zstd")
        planes.append(data * count if method == 2 else data)
    out, bits = bytearray(), 8 * scalar_size
    for element in zip(*planes):
        value = int.from_bytes(bytes(element), "little")
        if flags & 1:
            value = (value >> 1) | ((value & 1) << (bits - 1))
        out += value.to_bytes(scalar_size, "little")
    return bytes(out) + stored[at:]


class Pack:
    def __init__(self, data):
        self.data = data
        assert data[:8] == b"\x89CKP\r\n\x1a\n", "not a pack"
        trailer = data[-128:]
        assert trailer[:8] == b"\x89CKE\r\n\x1a\n", "no trailer: cut short"
        read_version, = struct.unpack_from("<H", trailer, 10)
        refuse, = struct.unpack_from("<Q", trailer, 32)
        assert read_version <= 1 and refuse & ~27 == 0, "needs a newer reader"
        assert trailer[40:56] == data[40:56], "trailer of another pack"
        chunks, manifests = struct.unpack_from("<II", trailer, 60)
        table, file_size = struct.unpack_from("<QQ", trailer, 72)
        assert file_size == len(data), "file_size"
        self.chunks, self.manifests = {}, []
        for i in range(chunks + 2 * manifests):
            row = data[table + 128 + 48 * i:table + 128 + 48 * (i + 1)]
            number, offset = struct.unpack_from("<I", row, 4)[0], struct.unpack_from("<Q", row, 16)[0]
            if row[0] == 1:
                self.chunks[number] = offset
            else:
                self.manifests.append(offset)

    def record(self, offset):
        """The raw bytes of the record whose header is at `offset`."""
        header = self.data[offset:offset + 128]
        assert header[:8] == b"\x89CKR\r\n\x1a\n", "no record"
        codec = header[9]
        raw_size, stored_size = struct.unpack_from("<QQ", header, 24)
        stored = self.data[offset + 128:offset + 128 + stored_size]
        if codec == 0:
            return stored
        if codec == 1:
            return stored * raw_size
        assert codec == 2, "needs a newer reader"
        return decode_planes(stored, raw_size)

    def sections(self):
        raw, at, sections = self.record(self.manifests[0]), 0, {}
        while at < len(raw):
            number, flags, _, length = struct.unpack_from("<HHIQ", raw, at)
            assert number <= 5 or number in (7, 8, 9) or not flags & 1, "needs a newer reader"
            sections[number] = raw[at + 16:at + 16 + length]
            at += 16 + length
        return sections

    def storages(self, sections):
        c = Columns(sections[3])
        packs, count = c.column("I", 2)
        c.take(16 * packs)
        owner, number = c.column("I", count), c.column("I", count)
        c = Columns(sections[4])
        storage_count, piece_count = c.column("I", 2)
        c.column("Q", storage_count)
        counts = c.column("I", storage_count)
        pieces = list(zip(*[c.column("I", piece_count) for _ in range(3)]))
        derived, at = rows(sections.get(7), "IIIB"), 0
        sources, done = {row[2] for row in derived}, {}
        for index, size in enumerate(counts):
            done[index] = pieces[at:at + size]
            at += size
        # What is not derived, and then what is.
        later = sorted(done, key=lambda index: index not in sources)
        for index in later:
            storage = b""
            for i, (reference, offset, length) in enumerate(done[index]):
                if reference == 2 ** 32 - 1:
                    (source, kind), = [row[2:] for row in derived if row[:2] == (index, i)]
                    storage += rounded(done[source], len(storage), length, kind)
                    continue
                assert owner[reference] == 0, "a chunk of another pack"
                piece = self.record(self.chunks[number[reference]])[offset:offset + length]
                for changed, changed_piece, reference, kind in rows(sections.get(9), "IIIB"):
                    if (changed, changed_piece) == (index, i):
                        assert owner[reference] == 0, "a chunk of another pack"
                        piece = different(piece, kind, self.record(self.chunks[number[reference]]))
                storage += piece
            for patched, reference, begin, length in rows(sections.get(8), "IIQQ"):
                if patched == index:
                    assert owner[reference] == 0, "a chunk of another pack"
                    storage = overwritten(storage, begin, length,
                                          self.record(self.chunks[number[reference]]))
            done[index] = storage
        return [done[index] for index in sorted(done)]


def rows(section, codes):
    if section is None:
        return []
    c = Columns(section)
    count, = c.column("I", 1)
    return list(zip(*[c.column(code, count) for code in codes]))


def rounded(source, begin, length, kind):
    """Elements of a storage of float32 as 16 bits each."""
    out = b""
    for x, in struct.iter_unpack("<I", source[2 * begin:2 * (begin + length)]):
        sign, exponent = x >> 31, x >> 23 & 255
        if exponent == 255 and x & 0x7fffff:
            value = 0x7fc0 if kind == 1 else sign << 15 | 0x7e00
        elif kind == 1:
            low = x & 0xffff
            value = (x >> 16) + (low > 0x8000 or (low == 0x8000 and x >> 16 & 1))
        else:
            assert kind == 2, "needs a newer reader"
            value = sign << 15 | float16(x & 0x7fffffff, exponent)
        out += struct.pack("<H", value)
    return out


def float16(x, exponent):
    # In units of 2^-24, or of what float16 with this exponent has.
    mantissa = (x & 0x7fffff) | (0x800000 if exponent else 0)
    shift = 13 if exponent > 112 else 126 - max(exponent, 1)
    high, low, half = mantissa >> shift, mantissa & (1 << shift) - 1, 1 << (shift - 1)
    high += low > half or (low == half and high & 1)
    return min((max(exponent - 113, 0) << 10) + high, 0x7c00)


def different(piece, kind, raw):
    assert 1 <= kind <= 4 and len(raw) == len(piece), "needs a newer reader"
    size, out = {1: 1, 2: 2, 3: 4, 4: 8}[kind], bytearray()
    bits, whole = 8 * size, 0 if kind == 1 else len(raw) // size * size
    for at in range(0, whole, size):
        x, z = (int.from_bytes(b[at:at + size], "little") for b in (piece, raw))
        x = ((x << 1) | (x >> (bits - 1))) & ((1 << bits) - 1)
        x = (x + (z // 2 if z % 2 == 0 else -1 - z // 2)) & ((1 << bits) - 1)
        out += ((x >> 1) | ((x & 1) << (bits - 1))).to_bytes(size, "little")
    return bytes(out) + bytes(a ^ b for a, b in zip(piece[whole:], raw[whole:]))


def overwritten(storage, begin, length, raw):
    row_size, count = struct.unpack_from("<II", raw)
    out, row, at = bytearray(storage), 0, 8
    for gap in struct.unpack("<%dI" % count, raw[len(raw) - 4 * count:]):
        row += gap
        size = min(row_size, length - row * row_size)
        out[begin + row * row_size:begin + row * row_size + size] = raw[at:at + size]
        at += size
    assert at == len(raw) - 4 * count, "rows"
    return bytes(out)


def tensors(section):
    c = Columns(section)
    count, dims, shard_dims, name_size = c.column("I", 4)
    ends, names = c.column("I", count), c.take(name_size)
    dtype, flags = c.column("H", count), c.column("H", count)
    storage, offset = c.column("I", count), c.column("q", count)
    rank, _ = c.column("B", count), c.column("B", count)
    shape, strides = c.column("q", dims), c.column("q", dims)
    c.take(16 * shard_dims)
    assert c.at == len(section), "tensors"
    begin = at = 0
    for i in range(count):
        yield (names[begin:ends[i]].decode(), dtype[i], flags[i], storage[i], offset[i],
               shape[at:at + rank[i]], strides[at:at + rank[i]])
        begin, at = ends[i], at + rank[i]


def values(storage, dtype, offset, shape, strides):
    """The elements, row by row."""
    _, size, code = DTYPES[dtype]
    places = [offset]
    for extent, stride in zip(shape, strides):
        places = [p + i * stride for p in places for i in range(extent)]
    for place in places:
        bits = storage[place * size:(place + 1) * size]
        value, = struct.unpack("<" + code, bits)
        yield "nan:" + bits[::-1].hex() if value != value else repr(value)


def describe(data):
    pack = Pack(data)
    sections = pack.sections()
    lines = ["pack %s" % data[40:56].hex(), "checkpoint %r" % cbor(sections[1])[0],
             "values %r" % cbor(sections[2])[0]]
    storages = pack.storages(sections)
    for name, dtype, flags, storage, offset, shape, strides in tensors(sections[5]):
        shown = " ".join(values(storages[storage], dtype, offset, shape, strides))
        lines.append("%s %s %r flags %d: %s" % (name, DTYPES[dtype][0], shape, flags, shown))
    return "\n".join(lines) + "\n"


def main():
    with open(sys.argv[1], "rb") as file:
        text = describe(file.read())
    sys.stdout.write(text)
    if len(sys.argv) == 4 and sys.argv[2] == "--expect":
        with open(sys.argv[3], encoding="utf-8") as file:
            if file.read() != text:
                sys.exit("differs from " + sys.argv[3])


if __name__ == "__main__":
    main()
