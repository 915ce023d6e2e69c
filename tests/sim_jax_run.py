"""sim_jax_run.py SIM_MODULE DIRECTORY: JAX's own Pallas kernels, run by the
simulator and by JAX.

Each kernel is lowered for the TPU, which gives its Mosaic module, and run by
Pallas' interpreter on the CPU, which gives the operands that reach it and the
results. The simulator runs the module on these operands, hostile and under a
seed, and must report nothing and give the same results.
"""
import functools
import os
import pathlib
import subprocess
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
TOOL, OUT = sys.argv[1], pathlib.Path(sys.argv[2])
sys.argv = ["", str(OUT)]
import mosaic_lower as lower

BF16, F32, I32 = jnp.bfloat16, jnp.float32, jnp.int32
ELEMENTS = {"bfloat16": "bf16", "float32": "f32", "int32": "i32",
            "int8": "i8", "bool": "i32", "uint32": "i32", "uint8": "i8",
            "int16": "i16", "float16": "f16"}
# Products of f32 are of bf16 on the chip and of f32 on the CPU, and a result is
# rounded to bf16: a few units of 2^-8 of the largest element.
TOLERANCE = 4 * 2.0 ** -8
run = failed = 0


def record(function, arguments, reference):
    """(operands, results) of each pallas_call, in order. Where the interpreter
    cannot run one, `reference` gives what the whole function does."""
    calls = []

    def evaluate(jaxpr, consts, inputs):
        values = dict(zip(jaxpr.constvars, consts))
        values.update(zip(jaxpr.invars, inputs))

        def read(var):
            if hasattr(var, "val"):
                return jnp.asarray(var.val, var.aval.dtype)
            return values[var]
        for eqn in jaxpr.eqns:
            inputs = [read(var) for var in eqn.invars]
            name, params = eqn.primitive.name, dict(eqn.params)
            inner = next((params[key] for key in
                          ("jaxpr", "call_jaxpr", "fun_jaxpr")
                          if key in params and name != "pallas_call"), None)
            if name == "pallas_call":
                params["interpret"] = True
                outputs = ([reference(*arguments)] if reference else
                           eqn.primitive.bind(*inputs, **params))
                calls.append((inputs, outputs))
            elif inner is not None and name not in ("scan", "while", "cond"):
                closed = hasattr(inner, "jaxpr")
                outputs = evaluate(inner.jaxpr if closed else inner,
                                   inner.consts if closed else [], inputs)
            else:
                outputs = eqn.primitive.bind(*inputs, **params)
                if not eqn.primitive.multiple_results:
                    outputs = [outputs]
            values.update(zip(eqn.outvars, outputs))
        return [read(var) for var in jaxpr.outvars]
    closed = jax.make_jaxpr(function)(*arguments)
    evaluate(closed.jaxpr, closed.consts, arguments)
    return calls


def spell(role, array, path):
    shape = "x".join(map(str, array.shape)) or "1"
    return [role, ELEMENTS[str(array.dtype)], shape, str(path)]


def compare(name, number, call):
    global run, failed
    operands, results = call
    command = [TOOL, str(OUT / f"{name}{number}.mlir")]
    for i, operand in enumerate(operands):
        array = np.asarray(operand)
        if array.dtype == bool:
            array = array.astype(np.int32)
        path = OUT / f"{name}{number}.in{i}"
        path.write_bytes(array.tobytes())
        command += spell("operand", array, path)
    for i, result in enumerate(results):
        command += spell("result", result, OUT / f"{name}{number}.out{i}")
    run += 1
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        failed += 1
        print(f"{name}{number}: {done.stderr.strip()[:1500]}")
        return
    for i, result in enumerate(results):
        want = np.asarray(result).astype(np.float64)
        got = np.frombuffer((OUT / f"{name}{number}.out{i}").read_bytes(),
                            np.asarray(result).dtype).astype(np.float64)
        got = got.reshape(want.shape)
        finite = np.isfinite(want)
        error = np.abs(got - want)[finite].max(initial=0)
        bound = TOLERANCE * np.abs(want[finite]).max(initial=0)
        print(f"{name}{number} result {i}: error {error:.3g}, at most "
              f"{bound:.3g}")
        failed += not error <= bound


def check(name, function, *arguments, reference=None):
    before = lower.written
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arguments]
    lower.lower(name, function, *shapes)
    if lower.written == before:
        return
    calls = record(function, arguments, reference)
    assert len(calls) == lower.written - before, name
    for number, call in enumerate(calls):
        compare(name, number, call)


def normal(key, shape, dtype=BF16):
    return jax.random.normal(jax.random.key(key), shape, F32).astype(dtype)


def flash():
    from jax.experimental.pallas.ops.tpu import flash_attention as kernel
    q, k, v = (normal(i, (1, 1, 256, 128)) for i in range(3))
    attend = functools.partial(kernel.flash_attention, causal=True,
                               sm_scale=.1)
    check("flash_backward",
          jax.grad(lambda *a: attend(*a).astype(F32).sum(), (0, 1, 2)),
          q, k, v)
    ids = (jnp.arange(256)[None] // 100).astype(I32)
    check("flash_segments",
          lambda q, k, v, a, b: attend(
              q, k, v, segment_ids=kernel.SegmentIds(a, b)), q, k, v, ids, ids)


def splash():
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_kernel as kernel, splash_attention_mask as masks)
    q, k, v = (normal(i, (2, 256, 128)) * .3 for i in range(3))

    def attend(q, k, v):
        mask = masks.MultiHeadMask([masks.CausalMask((256, 256))] * 2)
        return kernel.make_splash_mha(mask=mask, head_shards=1,
                                      q_seq_shards=1)(q, k, v)

    def attend_locally(q, k, v):
        mask = masks.MultiHeadMask(
            [masks.LocalMask((256, 256), (100, 0), 0)] * 2)
        return kernel.make_splash_mqa(
            mask=mask, head_shards=1, q_seq_shards=1,
            attn_logits_soft_cap=30.)(q, k, v)
    check("splash_backward",
          jax.grad(lambda *a: attend(*a).astype(F32).sum(), (0, 1, 2)),
          q, k, v)
    check("splash_local", attend_locally, q, k[0], v[0])


def paged():
    from jax.experimental.pallas.ops.tpu.paged_attention import paged_attention
    from jax.experimental.pallas.ops.tpu.ragged_paged_attention import kernel
    pages = [normal(i, (8, 64, 16, 128)) for i in range(2)]
    lengths = jnp.array([256, 1, 77, 200], I32)
    table = jax.random.permutation(jax.random.key(5), 64).reshape(4, 16)
    check("paged",
          lambda *a: paged_attention(*a, pages_per_compute_block=4),
          normal(2, (4, 8, 128)) * .1, *pages, lengths, table.astype(I32))
    starts = jnp.array([0, 1, 40, 40, 72, 100, 127, 128, 128], I32)
    table = jax.random.permutation(jax.random.key(6), 256).reshape(8, 32)
    check("ragged", lambda *a: kernel.ragged_paged_attention(
        *a, num_kv_pages_per_block=8, num_queries_per_block=32,
        vmem_limit_bytes=64 << 20),
          normal(3, (128, 8, 128)) * .1, normal(4, (256, 16, 4, 128)),
          jnp.array([100, 300, 64, 512, 33, 28, 400, 0], I32),
          table.astype(I32), starts, jnp.array([7], I32),
          reference=kernel.ref_ragged_paged_attention)


def probes():
    for kernel, shapes in lower.probe_kernels():
        check(kernel.__name__, lower.probe_call(kernel),
              *(normal(i, x.shape, x.dtype) for i, x in enumerate(shapes)))


for group in (probes, flash, splash, paged):
    try:
        group()
    except (ImportError, AttributeError, TypeError) as moved:
        print(f"{group.__name__}: {type(moved).__name__}: {moved}")
print(f"jax {jax.__version__}: {run} kernels, {failed} failed")
sys.exit(failed > 0 or run < 14)
