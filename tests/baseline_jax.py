"""baseline_jax.py BASELINE_TEXT: the StableHLO of plain attention, parsed and run
by JAX on the CPU, against fp64. Exit code 77 if jax (fetched.py) cannot be had.
"""
import subprocess
import sys

import fetched

CLIENT = r"""
import os
import subprocess
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import numpy as np
from jax._src import compiler
from jax._src.interpreters import mlir
from jax._src.lib import xla_client
from jaxlib.mlir import ir

# op, B, Hq, Hkv, Sq, Sk, D, causal, window, softcap, sinks, dtype, cache
CASES = [
    ("forward", 1, 2, 2, 9, 9, 8, 0, 0, 0, 0, "f32", "f32"),
    ("forward", 2, 6, 2, 5, 11, 8, 1, 0, 0, 0, "f32", "f32"),
    ("forward", 1, 4, 1, 16, 16, 4, 1, 5, 0, 1, "f32", "f32"),
    ("forward", 1, 4, 2, 16, 16, 4, 1, 0, 2.5, 0, "f32", "f32"),
    ("forward", 1, 4, 2, 7, 12, 4, 1, 4, 2.5, 1, "bf16", "bf16"),
    ("forward", 1, 2, 1, 8, 8, 16, 0, 0, 0, 0, "f16", "f16"),
    ("forward", 3, 8, 2, 1, 33, 16, 0, 0, 0, 0, "bf16", "i8"),
    ("forward", 1, 8, 8, 1, 40, 16, 1, 6, 0, 1, "f32", "i8"),
    ("backward", 1, 2, 2, 9, 9, 8, 0, 0, 0, 0, "f32", "f32"),
    ("backward", 2, 6, 2, 5, 11, 8, 1, 0, 0, 0, "f32", "f32"),
    ("backward", 1, 4, 2, 16, 16, 4, 1, 6, 2.5, 0, "f32", "f32"),
    ("backward", 1, 4, 1, 10, 10, 8, 1, 0, 0, 1, "bf16", "bf16"),
]
SCALE = 0.125
UNIT = {"f32": 2.0 ** -24, "bf16": 2.0 ** -9, "f16": 2.0 ** -11}
TYPES = {"f32": np.float32, "f16": np.float16,
         "bf16": jax.numpy.bfloat16.dtype, "i8": np.int8}


def run(text, arguments):
    client = jax.devices("cpu")[0].client
    options = xla_client.CompileOptions()
    with mlir.make_ir_context(), ir.Location.unknown():
        module = ir.Module.parse(text)
        module.operation.verify()
        program = compiler.backend_compile_and_load(
            client, module, client.devices()[:1] if not hasattr(
                xla_client, "DeviceList") else xla_client.DeviceList(
                    tuple(client.devices()[:1])), options, [])
    arrays = [jax.device_put(a, jax.devices("cpu")[0]) for a in arguments]
    results = program.execute_sharded(arrays)
    return [np.asarray(a[0]) for a in
            results.disassemble_into_single_device_arrays()]


def reference(case, t):
    op, B, Hq, Hkv, Sq, Sk, D, causal, window, softcap, sinks, _, _ = case
    G = Hq // Hkv
    q, k, v = (t[n].astype(np.float64) for n in "qkv")
    if "k_scale" in t:
        k = k * t["k_scale"].astype(np.float64)[..., None]
        v = v * t["v_scale"].astype(np.float64)[..., None]
    k, v = (np.repeat(x, G, axis=1) for x in (k, v))
    s = np.einsum("bhid,bhjd->bhij", q, k) * SCALE
    slope = np.ones_like(s)
    if softcap:
        slope = 1 - np.tanh(s / softcap) ** 2
        s = softcap * np.tanh(s / softcap)
    i = np.arange(Sq)[:, None] + Sk - Sq
    j = np.arange(Sk)[None]
    seen = np.ones((Sq, Sk), bool)
    if causal:
        seen &= j <= i
    if window:
        seen &= j > i - window
    s = np.where(seen, s, -np.inf)
    m = s.max(-1, keepdims=True)
    total = np.exp(s - m).sum(-1, keepdims=True)
    if sinks:
        total += np.exp(t["sinks"].astype(np.float64)[None, :, None, None] - m)
    p = np.exp(s - m) / total
    o = p @ v
    if op == "forward":
        return [o], (m + np.log(total))[..., 0]
    d_o = t["do"].astype(np.float64)
    ds = p * (d_o @ v.swapaxes(2, 3) - (d_o * o).sum(-1, keepdims=True))
    ds *= slope * SCALE
    fold = lambda x: x.reshape(B, Hkv, G, Sk, D).sum(2)
    return [ds @ k, fold(ds.swapaxes(2, 3) @ q), fold(p.swapaxes(2, 3) @ d_o)], None


def tensors(case, seed):
    op, B, Hq, Hkv, Sq, Sk, D, _, _, _, sinks, dtype, cache = case
    r = np.random.default_rng(seed)
    t = {"q": r.standard_normal((B, Hq, Sq, D)).astype(TYPES[dtype])}
    for n in "kv":
        x = r.standard_normal((B, Hkv, Sk, D))
        if cache == "i8":
            scale = np.abs(x).max(-1) / 127
            t[n] = np.rint(x / scale[..., None]).astype(np.int8)
            t[n + "_scale"] = scale.astype(np.float32)
        else:
            t[n] = x.astype(TYPES[dtype])
    if sinks:
        t["sinks"] = r.standard_normal(Hq).astype(np.float32)
    t["do"] = r.standard_normal((B, Hq, Sq, D)).astype(TYPES[dtype])
    return t


failed = 0
for seed, case in enumerate(CASES, 1):
    t = tensors(case, seed)
    op, dtype = case[0], case[-2]
    text = subprocess.run([sys.argv[1], *map(str, case)], check=True, text=True,
                          capture_output=True).stdout
    expected, _ = reference(case, t)
    names = ["q", "k", "v"]
    if op == "backward":
        forward, lse = reference(("forward", *case[1:]), t)
        t["o"] = forward[0].astype(TYPES[dtype])
        t["lse"] = lse.astype(np.float32)
        names += ["o", "lse", "do"]
    elif case[-1] == "i8":
        names += ["k_scale", "v_scale"]
    if case[10] and op == "forward":
        names += ["sinks"]
    got = run(text, [t[n] for n in names])
    assert len(got) == len(expected), case
    for name, a, b in zip("o" if op == "forward" else ("dq", "dk", "dv"), got,
                          expected):
        assert a.shape == b.shape and a.dtype == TYPES[dtype], (case, a.dtype)
        # P, and backward dS and O, are rounded to the dtype before a sum of at
        # most Sk terms; 16 units of f32 for scores and exponentials
        roundings = 4 if op == "backward" else 2
        allowed = (roundings * UNIT[dtype] + 64 * 2.0 ** -24) * np.abs(
            b).max() * 6
        error = np.abs(a.astype(np.float64) - b).max()
        failed += not error <= allowed
        print(f"{' '.join(map(str, case))}: {name} off by {error:.1e} of "
              f"{allowed:.1e}{'' if error <= allowed else ' WRONG'}")
sys.exit(1 if failed else 0)
"""

sys.exit(subprocess.run([fetched.or_skip(fetched.jax_python), "-W", "ignore",
                         "-c", CLIENT, sys.argv[1]]).returncode)
