"""A TPU's program as the C library describes it, emitted as JAX operations."""
from __future__ import annotations

import ctypes
import dataclasses
import functools
import json
import math
from typing import Any

from pallas_flash import _library

_DTYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16",
           "int8": "int8", "int32": "int32"}

# What JAX calls a chip, and the C library.
_CHIPS = {"TPU v4": "v4", "TPU v5 lite": "v5e", "TPU v5e": "v5e",
          "TPU v5": "v5p", "TPU v5p": "v5p", "TPU v6 lite": "v6e",
          "TPU v6e": "v6e", "TPU7x": "tpu7x", "TPU v7x": "tpu7x"}


def _device_of(module: Any) -> Any:
    """A device that the module is lowered for, as far as JAX says; or None."""
    context = module.axis_context
    assigned = getattr(context, "device_assignment", None)
    if assigned:
        return assigned[0]
    mesh = getattr(context, "mesh", None)
    devices = getattr(mesh, "_flat_devices_tuple", None)
    if devices:
        return devices[0]
    if (abstract := getattr(mesh, "abstract_device", None)) is not None:
        return abstract
    backend = module.get_backend(optional=True)
    devices = backend.devices() if backend is not None else []
    return devices[0] if devices and devices[0].platform == "tpu" else None


def target_of(module: Any) -> str:
    """The chip that kernels are planned for; v5e where nobody says.
    NotImplementedError: one that there are no kernels for."""
    kind = getattr(_device_of(module), "device_kind", "TPU v5 lite")
    if kind not in _CHIPS:
        raise NotImplementedError(f"pallas_flash has no kernels for '{kind}': "
                                  f"only for {', '.join(_CHIPS)}")
    return _CHIPS[kind] + ":1x1"


@dataclasses.dataclass(frozen=True)
class Tensor:
    """kernels_tensor, of one chip."""
    name: str
    dtype: str
    shape: tuple[int, ...]
    swapped: bool
    row: int    # elements of the whole's rows, each padded to the last size; 0
    spare: int  # the dimension of the whole that has room for more; -1: the end

    @staticmethod
    def of(described: dict) -> "Tensor":
        return Tensor(described["name"], _DTYPES[described["dtype"]],
                      tuple(described["shape"]), described["swapped"],
                      described["row"], described["spare"])

    def _steps(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """(whole with room, as rows, rows with room): shapes on the way from
        the whole, of `shape`, to the program's tensor."""
        width = self.row or self.shape[-1]
        rows = math.prod(self.shape[:-1])
        room, spare = list(shape), self.spare
        if not self.row and spare < 0:  # no rows: elements
            rows, width = math.prod(self.shape), 1
        if spare >= 0:
            others = math.prod(shape[:spare] + shape[spare + 1:])
            room[spare] = rows * width // others if others else shape[spare]
        return tuple(room), (-1, width), (rows, width)

    def put(self, x: Any) -> Any:
        """A whole tensor as the program has it."""
        import jax.numpy as jnp
        if self.swapped:
            return jnp.swapaxes(x, -1, -2)
        if not self.row and x.size == math.prod(self.shape):
            return x.reshape(self.shape)
        room, rows, all_rows = self._steps(x.shape)
        x = _pad(x, room).reshape(rows)
        x = _pad(x, all_rows)
        if self.row:
            x = _pad(x, (all_rows[0], self.shape[-1]))
        return x.reshape(self.shape)

    def get(self, x: Any, shape: tuple[int, ...]) -> Any:
        """The whole tensor of `shape` out of what the program has."""
        import jax.numpy as jnp
        if self.swapped:
            return jnp.swapaxes(x, -1, -2)
        if not self.row and x.size == math.prod(shape):
            return x.reshape(shape)
        room, _, (rows, width) = self._steps(shape)
        x = x.reshape(rows, -1)[:, :width]
        x = x[:math.prod(room) // width].reshape(room)
        return x[tuple(map(slice, shape))]


def _pad(x: Any, shape: tuple[int, ...]) -> Any:
    """x with zeros at the end of each dimension."""
    import jax.numpy as jnp
    if x.shape == shape:
        return x
    return jnp.pad(x, [(0, more - size) for size, more in zip(x.shape, shape)])


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A tpu_custom_call."""
    name: str
    config: str = dataclasses.field(repr=False)
    operands: tuple[int, ...]
    results: tuple[Tensor, ...]
    aliases: tuple[tuple[int, int], ...]  # (operand, result that takes it)
    side_effects: bool


@dataclasses.dataclass(frozen=True)
class Program:
    """What xla_describe says."""
    arguments: tuple[Tensor, ...]
    kernels: tuple[Kernel, ...]

    def emit(self, given: dict[str, Any],
             wanted: list[tuple[str, tuple[tuple[int, ...], Any]]],
             kernel_p: Any) -> list[Any]:
        """Traces the program on whole tensors by their names; gives those that
        are wanted, with their shapes."""
        values = [tensor.put(given[tensor.name]) for tensor in self.arguments]
        made = {}
        for kernel in self.kernels:
            results = kernel_p.bind(*[values[i] for i in kernel.operands],
                                    kernel=kernel)
            values += results
            made.update((tensor.name, (tensor, x))
                        for tensor, x in zip(kernel.results, results))
        return [made[name][0].get(made[name][1], shape)
                for name, (shape, _) in wanted]


def _parse(text: str) -> Program:
    described = json.loads(text)
    return Program(
        tuple(map(Tensor.of, described["arguments"])),
        tuple(Kernel(call["kernel"], call["config"], tuple(call["operands"]),
                     tuple(map(Tensor.of, call["results"])),
                     tuple((operand, result)
                           for result, operand in call["aliases"]),
                     call["side_effects"]) for call in described["calls"]))


@functools.lru_cache(maxsize=256)
def _described(op: str, target: str, problem: bytes, lse: bool,
               segment_ids: bool, sinks: bool, d_lse: bool) -> Program:
    request = _library.Request(
        op=op.encode(), target=target.encode(), lse=lse,
        segment_ids=segment_ids, sinks=sinks, d_lse=d_lse)
    if op == "decode":
        request.decode = ctypes.pointer(
            _library.Decode.from_buffer_copy(problem))
    else:
        request.attention = ctypes.pointer(
            _library.Attention.from_buffer_copy(problem))
    return _parse(_library.describe(request))


def program(op: str, target: str, problem: Any, *, lse: bool = False,
            segment_ids: bool = False, sinks: bool = False,
            d_lse: bool = False) -> Program:
    """The library's program for a problem (an _library.Attention or Decode).
    ValueError: there is no kernel for it on the target."""
    return _described(op, target, bytes(problem), lse, segment_ids, sinks,
                      d_lse)
