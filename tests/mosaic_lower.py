"""mosaic_lower.py DIRECTORY [FILE...]: what jax and jaxlib have to say.

Lowers Pallas kernels for the TPU, those that jax ships and a few of this file,
and writes the Mosaic module of each to DIRECTORY, as jaxlib prints it in generic
form. Each FILE, a module of ours, is read by jaxlib, printed, held against that
text, upgraded to the newest ops and verified by MLIR.
"""
import base64
import functools
import json
import os
import pathlib
import re
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxlib.mlir import ir
from jaxlib.mlir.passmanager import PassManager
from jaxlib.mosaic.python import tpu

OUT = pathlib.Path(sys.argv[1])
BF16, F32, I32 = jnp.bfloat16, jnp.float32, jnp.int32
Shape = jax.ShapeDtypeStruct
written = 0


def context():
    made = ir.Context()
    made.allow_unregistered_dialects = True
    tpu.register_dialect(made)
    return made


def generic(module):
    return module.operation.get_asm(print_generic_op_form=True)


def bodies(stablehlo):
    """The kernels in the custom calls of a program's text."""
    for match in re.finditer(r'backend_config = "((?:[^"\\]|\\.)*)"',
                             stablehlo):
        text = re.sub(r"\\([0-9A-Fa-f]{2})",
                      lambda code: chr(int(code[1], 16)), match[1])
        text = text.replace("\\\\", "\\").replace('\\"', '"')
        yield base64.b64decode(json.loads(text)["custom_call_config"]["body"])


def lower(name, function, *arguments):
    """A kernel that this jax does not have, or lowers otherwise, is passed
    over; the caller counts."""
    global written
    try:
        program = jax.jit(function).trace(*arguments).lower(
            lowering_platforms=("tpu",)).as_text()
    except Exception as error:  # whatever jax raises
        print(f"{name}: {type(error).__name__}: {str(error)[:200]}")
        return
    for number, body in enumerate(bodies(program)):
        with context():
            text = generic(ir.Module.parse(body))
        (OUT / f"{name}{number}.mlir").write_text(text)
        written += 1


def name_device():
    """Some kernels ask which TPU they are lowered for."""
    try:
        from jax._src.pallas.mosaic import core, tpu_info
        for module in (core, tpu_info):
            if hasattr(module, "get_device_kind"):
                module.get_device_kind = lambda *_: "TPU v5 lite"
        tpu_info.get_num_device_cores = lambda: 1
    except ImportError:
        pass


def shipped():
    """The kernels in jax.experimental.pallas.ops.tpu."""
    from jax.experimental.pallas.ops.tpu import flash_attention as flash
    from jax.experimental.pallas.ops.tpu import matmul
    q = Shape((1, 8, 1024, 128), BF16)
    attend = functools.partial(flash.flash_attention, causal=True, sm_scale=.1)
    lower("flash", attend, q, q, q)
    lower("flash_backward",
          jax.grad(lambda *a: attend(*a).astype(F32).sum(), (0, 1, 2)),
          q, q, q)
    ids = Shape((1, 1024), I32)
    lower("flash_segments",
          lambda q, k, v, a, b: attend(q, k, v,
                                       segment_ids=flash.SegmentIds(a, b)),
          q, q, q, ids, ids)
    square = Shape((1024, 1024), BF16)
    lower("matmul", lambda a, b: matmul.matmul(
        a, b, block_shape=(256, 256), block_k=256), square, square)
    splash()
    paged()


def splash():
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_kernel as kernel, splash_attention_mask as masks)

    def attend(q, k, v):
        mask = masks.MultiHeadMask([masks.CausalMask((1024, 1024))] * 8)
        return kernel.make_splash_mha(mask=mask, head_shards=1,
                                      q_seq_shards=1)(q, k, v)

    def attend_locally(q, k, v):
        mask = masks.MultiHeadMask(
            [masks.LocalMask((1024, 1024), (256, 0), 0)] * 8)
        return kernel.make_splash_mqa(
            mask=mask, head_shards=1, q_seq_shards=1,
            attn_logits_soft_cap=30.)(q, k, v)

    q, k = Shape((8, 1024, 128), BF16), Shape((1024, 128), BF16)
    lower("splash", attend, q, q, q)
    lower("splash_backward",
          jax.grad(lambda *a: attend(*a).astype(F32).sum(), (0, 1, 2)),
          q, q, q)
    lower("splash_local", attend_locally, q, k, k)


def paged():
    from jax.experimental.pallas.ops.tpu.paged_attention import paged_attention
    from jax.experimental.pallas.ops.tpu.ragged_paged_attention import kernel
    pages = Shape((8, 64, 16, 128), BF16)
    lower("paged", lambda *a: paged_attention(*a, pages_per_compute_block=4),
          Shape((4, 8, 128), BF16), pages, pages, Shape((4,), I32),
          Shape((4, 16), I32))
    lower("ragged", lambda *a: kernel.ragged_paged_attention(
        *a, num_kv_pages_per_block=8, num_queries_per_block=32,
        vmem_limit_bytes=64 << 20),
          Shape((128, 32, 128), BF16), Shape((256, 16, 16, 128), BF16),
          Shape((8,), I32), Shape((8, 32), I32), Shape((9,), I32),
          Shape((1,), I32))


def probe_call(kernel):
    return lambda *a: pl.pallas_call(kernel, out_shape=Shape((256, 256), F32))(
        *a)


def probe_kernels():
    """Kernels for ops that those above lack, and what they read."""
    def mathematics(x, out):
        v = x[...]
        v = (jnp.exp(v) + jnp.exp2(v) + jnp.log(v) + jnp.tanh(v) +
             lax.rsqrt(v) + jnp.sqrt(v) + pl.reciprocal(v, approx=True) +
             1 / v + jnp.abs(v) + jnp.sin(v) + jnp.floor(v) + lax.erf(v))
        out[...] = jnp.minimum(v, 2.) + jnp.maximum(v, 0) - v

    def selection(x, out):
        v = x[...]
        i = lax.broadcasted_iota(I32, v.shape, 0)
        j = lax.broadcasted_iota(I32, v.shape, 1)
        v = jnp.where((i >= j) & (j > 5) | ~(i == 3), v, -jnp.inf)
        v = v + (v.astype(I32) >> 2 << 1).astype(F32)
        out[...] = (v.astype(BF16).astype(F32) +
                    jnp.sum(v, axis=1, keepdims=True) +
                    jnp.min(v, axis=1, keepdims=True) +
                    jnp.argmax(v, axis=1).astype(F32)[:, None])

    def movement(x, out):
        v = x[...]
        out[...] = (pltpu.roll(v, 5, 1) + v.T + pltpu.bitcast(
            pltpu.bitcast(v, I32) + 1, F32) + jnp.tile(v[:, :128], (1, 2)) +
                    jnp.concatenate([v[:, 128:], v[:, :128]], 1))

    def strides(x, out):
        out[...] = jnp.zeros_like(out)
        out[pl.ds(0, 128, stride=2), :] = x[pl.ds(1, 128, stride=2), :]

    def products(x, y, out):
        def dot(*dims):
            return lax.dot_general(x[...], y[...], ((dims), ((), ())),
                                   preferred_element_type=F32)
        out[...] = (dot((1,), (0,)) + dot((1,), (1,)) + dot((0,), (0,)) +
                    dot((0,), (1,)))

    def loops(x, out):
        def double(state):
            return state[0] + 1, state[1] * 2.
        n, scale = lax.while_loop(lambda s: s[0] < x[0, 0].astype(I32), double,
                                  (0, 1.))
        out[...] = lax.cond(n > 3, lambda: x[...] * 2., lambda: x[...] * scale)

    f, b = Shape((256, 256), F32), Shape((256, 256), BF16)
    for kernel in (mathematics, selection, movement, strides, loops):
        yield kernel, (f,)
    yield products, (b, b)


def probes():
    for kernel, inputs in probe_kernels():
        lower(kernel.__name__, probe_call(kernel), *inputs)
    exchange()


def exchange():
    def kernel(x, out, sent, received):
        neighbour = lax.axis_index("x") ^ 1
        barrier = pltpu.get_barrier_semaphore()
        pl.semaphore_signal(barrier, 1, device_id=neighbour)
        pl.semaphore_wait(barrier, 1)
        copy = pltpu.make_async_remote_copy(
            x, out, sent, received, device_id=neighbour,
            device_id_type=pl.DeviceIdType.LOGICAL)
        copy.start()
        copy.wait()

        def scoped(buffer, arrived, counter):
            local = pltpu.make_async_copy(out.at[pl.ds(8, 8)], buffer,
                                          arrived.at[1])
            local.start(priority=1)
            local.wait()
            pl.semaphore_signal(counter, 2)
            pl.semaphore_wait(counter, 2)
        pl.run_scoped(scoped, pltpu.VMEM((8, 256), F32),
                      pltpu.SemaphoreType.DMA((2,)),
                      pltpu.SemaphoreType.REGULAR)

    anywhere = pl.BlockSpec(memory_space=pl.ANY)
    call = pl.pallas_call(
        kernel, out_shape=Shape((256, 256), F32), in_specs=[anywhere],
        out_specs=anywhere, scratch_shapes=[pltpu.SemaphoreType.DMA] * 2,
        compiler_params=pltpu.CompilerParams(collective_id=0,
                                             has_side_effects=True))
    spec = jax.sharding.PartitionSpec()
    mesh = jax.sharding.AbstractMesh((4,), ("x",))
    lower("exchange", jax.shard_map(call, mesh=mesh, in_specs=spec,
                                    out_specs=spec, check_vma=False),
          Shape((256, 256), F32))


def check_ours(path):
    text = pathlib.Path(path).read_text()
    with context():
        module = ir.Module.parse(text)
        if generic(module).strip() != text.strip():
            sys.exit(f"{path} is not as MLIR prints it")
        PassManager.parse("builtin.module(mosaic-serde{serialize=false})").run(
            module.operation)
        if not module.operation.verify():
            sys.exit(f"{path} does not pass MLIR's verifier")


def main():
    for group in (shipped, probes):
        try:
            group()
        except (ImportError, AttributeError, TypeError) as moved:
            print(f"{group.__name__}: {moved}")
    for ours in sys.argv[2:]:
        check_ours(ours)
    print(f"jax {jax.__version__}: {written} modules, {len(sys.argv) - 2} of "
          "ours")


name_device()
if __name__ == "__main__":
    main()
