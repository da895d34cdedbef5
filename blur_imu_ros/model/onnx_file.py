"""What an ONNX file asks for, read from its bytes before any of it is run: operator sets and files beside it.

Field numbers are those of `onnx.proto` (ONNX IR); only messages that can lead to a tensor are entered,
weights are skipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import ModelError

_GRAPH, _OPSETS, _FUNCTIONS = 7, 8, 25  # of ModelProto
_DATA_LOCATION, _EXTERNAL = 14, 1  # of TensorProto
# Where tensors hide: message kind -> field -> kind of the message in it.
_CHILDREN = {
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_MAX_DEPTH = 32


@dataclass(frozen=True)
class OnnxFile:
    """Operator sets by domain ("" is ONNX's own); whether it defines operators; whether weights lie outside it."""

    opsets: dict[str, int]
    functions: bool
    external_data: bool

    @classmethod
    def parse(cls, data: bytes) -> "OnnxFile":
        """Read the bytes of a model; ModelError when they are not an ONNX model."""
        try:
            fields = list(_fields(memoryview(data)))
            opsets = dict(_opset(value) for number, value in fields if number == _OPSETS)
            graphs = [value for number, value in fields if number == _GRAPH]
            external = any(_is_external(_message(value), "graph") for value in graphs)
        except (ValueError, IndexError, TypeError) as error:
            raise ModelError(f"not an ONNX file ({error}); export or copy it again") from error
        if not graphs or not opsets:
            raise ModelError("not an ONNX file (it holds no graph); export or copy it again")
        return cls(opsets, any(number == _FUNCTIONS for number, _ in fields), external)


def _is_external(message: memoryview, kind: str, depth: int = 0) -> bool:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    for number, value in _fields(message):
        if kind == "tensor" and number == _DATA_LOCATION and value == _EXTERNAL:
            return True
        child = _CHILDREN[kind].get(number)
        if child and _is_external(_message(value), child, depth + 1):
            return True
    return False


def _opset(message: "memoryview | int") -> tuple[str, int]:
    fields = dict(_fields(_message(message)))
    version = fields.get(2, 0)
    return bytes(_message(fields.get(1, memoryview(b"")))).decode(), version if isinstance(
        version, int
    ) else 0


def _message(value: "memoryview | int") -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value


def _fields(data: memoryview) -> "Iterator[tuple[int, memoryview | int]]":
    """Field numbers and values of one protocol-buffer message; fixed-width values come as their bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(data, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"unknown wire type {wire}")
        if position + length > len(data):
            raise ValueError("it ends too early")
        yield number, data[position : position + length]
        position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
