"""safetensors files from plain Python, independent of the library.

A tensor is (dtype, shape, values): "F32", [2, 3], six numbers. Tensors are
read as written; whoever wants what is left of a number in a dtype rounds it
first.
"""
import json
import math
import struct

FORMATS = {"F64": "d", "F32": "f", "F16": "e", "I64": "q", "I32": "i",
           "I8": "b"}
SIZES = {name: struct.calcsize(code) for name, code in FORMATS.items()}
SIZES["BF16"] = 2


def bf16_bits(value):
    """To nearest, ties to even."""
    if math.isnan(value):
        return 0x7FC0
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def encode(dtype, values):
    if dtype == "BF16":
        return struct.pack(f"<{len(values)}H", *map(bf16_bits, values))
    return struct.pack(f"<{len(values)}{FORMATS[dtype]}", *values)


def decode(dtype, data):
    count = len(data) // SIZES[dtype]
    if dtype == "BF16":
        widened = b"".join(b"\0\0" + data[2 * i:2 * i + 2]
                           for i in range(count))
        return list(struct.unpack(f"<{count}f", widened))
    return list(struct.unpack(f"<{count}{FORMATS[dtype]}", data))


def rounded(dtype, values):
    return decode(dtype, encode(dtype, values))


def to_bytes(tensors):
    header, data = {}, b""
    for name, (dtype, shape, values) in tensors.items():
        assert len(values) == math.prod(shape), name
        part = encode(dtype, values)
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    return from_header(json.dumps(header), data)


def from_header(header, data):
    """A file whose header may be anything."""
    header = header.encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def from_bytes(content):
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + size])
    data = content[8 + size:]
    tensors, end = {}, 0
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = decode(entry["dtype"], data[begin:end])
        assert len(values) == math.prod(entry["shape"]), name
        tensors[name] = (entry["dtype"], entry["shape"], values)
    assert max([end] + [e["data_offsets"][1] for e in header.values()]) == \
        len(data), "bytes after the last tensor"
    return tensors


def write(path, tensors):
    with open(path, "wb") as file:
        file.write(to_bytes(tensors))


def read(path):
    with open(path, "rb") as file:
        return from_bytes(file.read())
