"""hardware_lower.py DIRECTORY: the programs whose times on a real v5e others
have published, lowered by jax for a TPU and written to DIRECTORY as StableHLO.
"""
import functools
import os
import pathlib
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jax.experimental.pallas.ops.tpu import flash_attention

OUT = pathlib.Path(sys.argv[1])
BF16 = jnp.bfloat16


def write(name, function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, BF16) for shape in shapes]
    lowered = jax.jit(function).trace(*arguments).lower(
        lowering_platforms=("tpu",))
    (OUT / f"{name}.mlir").write_text(lowered.as_text())


def matmul_kernel(steps, x, y, out, sums):
    @pl.when(pl.program_id(2) == 0)
    def _():
        sums[...] = jnp.zeros_like(sums)
    sums[...] += jnp.dot(x[...], y[...], preferred_element_type=jnp.float32)

    @pl.when(pl.program_id(2) == steps - 1)
    def _():
        out[...] = sums[...].astype(out.dtype)


def matmul(size, block_m, block_k, block_n):
    """x @ y of [size, size], blocks along all three dimensions."""
    grid = size // block_m, size // block_n, size // block_k
    return pl.pallas_call(
        functools.partial(matmul_kernel, grid[2]), grid=grid,
        in_specs=[pl.BlockSpec((block_m, block_k), lambda i, j, k: (i, k)),
                  pl.BlockSpec((block_k, block_n), lambda i, j, k: (k, j))],
        out_specs=pl.BlockSpec((block_m, block_n), lambda i, j, k: (i, j)),
        scratch_shapes=[pltpu.VMEM((block_m, block_n), jnp.float32)],
        out_shape=jax.ShapeDtypeStruct((size, size), BF16),
        compiler_params=pltpu.CompilerParams(dimension_semantics=(
            "parallel", "parallel", "arbitrary")))


for length in 4096, 1024:
    shape = 32, 8, length, 64
    write(f"flash_{length}", functools.partial(
        flash_attention.flash_attention, sm_scale=64 ** -0.5), shape, shape,
        shape)
for size in 4096, 1024:
    for blocks in (128, 128, 128), (512, 1024, 1024):
        name = "x".join(map(str, blocks))
        write(f"matmul_{size}_{name}", matmul(size, *blocks), (size, size),
              (size, size))
