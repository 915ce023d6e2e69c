"""What the package needs of JAX, and the one place that knows its versions."""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

JAX_MIN = (0, 8, 1)

try:
    import jax
except ImportError as missing:
    raise ImportError(
        "pallas_flash.attention and decode need JAX, at least "
        f"{'.'.join(map(str, JAX_MIN))}: pip install 'pallas-flash[jax]'; "
        "pallas_flash.numpy does without") from missing
if jax.__version_info__ < JAX_MIN:
    raise ImportError(f"JAX is {jax.__version__}: pallas_flash needs at least "
                      f"{'.'.join(map(str, JAX_MIN))}")

import jax.extend.core
import jax.numpy as jnp
from jax.interpreters import batching, mlir, xla

from pallas_flash import _library, _tpu


# ---- Arrays ------------------------------------------------------------------

def _varying(x: Any) -> frozenset:
    """Mesh axes along which x may differ inside a shard_map."""
    kind = jax.typeof(x)
    if hasattr(kind, "mat"):
        return kind.mat.varying
    return kind.vma


def vary_alike(arrays: Sequence[Any]) -> list[Any]:
    """The arrays, each marked as varying along all axes that any one does: a
    primitive takes no others. Their gradients are summed over what is added."""
    present = [x for x in arrays if x is not None]
    axes = frozenset().union(*map(_varying, present))

    def mark(x):
        missing = () if x is None else tuple(sorted(axes - _varying(x)))
        if not missing:
            return x
        if hasattr(jax.lax, "pcast"):
            return jax.lax.pcast(x, missing, to="varying")
        return jax.lax.pvary(x, missing)

    return [mark(x) for x in arrays]


def _like(aval: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """The type of a result: it varies as the operand does."""
    nowhere = jax.sharding.PartitionSpec(*[None] * len(shape))
    return aval.update(
        shape=shape, dtype=jnp.dtype(dtype), weak_type=False,
        sharding=jax.sharding.NamedSharding(aval.sharding.mesh, nowhere))


# ---- Primitives --------------------------------------------------------------

Shapes = Callable[..., list[tuple[tuple[int, ...], Any]]]


def primitive(name: str, shapes: Shapes, batch: Callable,
              tpu: Callable) -> jax.extend.core.Primitive:
    """A primitive with several results: on the CPU the library's handler
    pfl_python_NAME, on a TPU what `tpu` (a lowering rule) makes.

    shapes(*operands, **params): shape and dtype of each result, which must not
    depend on anything else. params, hashable, have a method attributes() or are
    numbers: what the handler is told.
    """
    p = jax.extend.core.Primitive(f"pallas_flash_{name}")
    p.multiple_results = True
    p.def_impl(functools.partial(xla.apply_primitive, p))

    def abstract(*operands, **params):
        return [_like(operands[0], shape, dtype)
                for shape, dtype in shapes(*operands, **params)]

    p.def_abstract_eval(abstract)
    batching.primitive_batchers[p] = batch
    handler = getattr(_library.load(), f"pfl_python_{name}")
    jax.ffi.register_ffi_target(p.name, jax.ffi.pycapsule(handler),
                                platform="cpu")
    lower_call = jax.ffi.ffi_lowering(p.name)

    def cpu(ctx, *operands, call):
        return lower_call(ctx, *operands, **call.attributes())

    mlir.register_lowering(p, cpu, platform="cpu")
    mlir.register_lowering(p, tpu, platform="tpu")
    return p


# ---- A TPU's program ---------------------------------------------------------

def _custom_call() -> jax.extend.core.Primitive:
    """One Mosaic kernel."""
    p = jax.extend.core.Primitive("pallas_flash_kernel")
    p.multiple_results = True

    def abstract(*operands, kernel):
        return [_like(operands[0], result.shape, result.dtype)
                for result in kernel.results]

    def lower(ctx, *operands, kernel):
        name = mlir.ir.StringAttr.get(kernel.name)
        return jax.ffi.ffi_lowering(
            "tpu_custom_call", api_version=1, backend_config=kernel.config,
            has_side_effect=kernel.side_effects,
            operand_output_aliases=dict(kernel.aliases),
            extra_attributes={"kernel_name": name})(ctx, *operands)

    p.def_abstract_eval(abstract)
    mlir.register_lowering(p, lower, platform="tpu")
    return p


kernel_p = _custom_call()


def tpu_rule(program_of: Callable, names_of: Callable,
             shapes: Shapes) -> Callable:
    """A lowering rule that emits a program's kernels.

    program_of(target, *operands, **params): its _tpu.Program.
    names_of(**params): what the operands are called there, and the results.
    """

    def rule(ctx, *operands, **params):
        target = _tpu.target_of(ctx.module_context)

        def emit(*arrays):
            names, results = names_of(**params)
            program = program_of(target, *arrays, **params)
            return program.emit(dict(zip(names, arrays, strict=True)),
                                list(zip(results, shapes(*arrays, **params),
                                         strict=True)), kernel_p)

        return mlir.lower_fun(emit, multiple_results=True)(ctx, *operands)

    return rule


# ---- Batching ----------------------------------------------------------------

def fold(x: Any, dim: int | None, size: int, into: int) -> Any:
    """The vmapped axis `dim` taken together with dimension `into`, slowest."""
    if dim is None:
        x, dim = jnp.broadcast_to(x[None], (size,) + x.shape), 0
    x = jnp.moveaxis(x, dim, into)
    shape = x.shape
    return x.reshape(shape[:into] + (size * shape[into + 1],)
                     + shape[into + 2:])


def unfold(x: Any, size: int, into: int) -> Any:
    """The vmapped axis taken out again, at the same dimension."""
    return x.reshape(x.shape[:into] + (size, -1) + x.shape[into + 1:]
                     if x.size else
                     x.shape[:into] + (size, x.shape[into] // size)
                     + x.shape[into + 1:])


def one_by_one(p: Any, operands: Sequence[Any], dims: Sequence[int | None],
               **params) -> tuple[list[Any], list[int]]:
    """A batching rule for what cannot be folded: a loop."""
    mapped = [jnp.moveaxis(x, d, 0) if d is not None else None
              for x, d in zip(operands, dims)]

    def one(some):
        return p.bind(*[whole if part is None else part
                        for whole, part in zip(operands, some)], **params)

    results = jax.lax.map(one, mapped)
    return results, [0] * len(results)
