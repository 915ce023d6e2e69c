"""What is lowered for TPUs: the library's kernels around which nothing is
added.

Without libtpu the StableHLO is looked at; with it the program is compiled for a
v5e that nobody has, and with PFLASH, the command, its cycles are compared with
those of the C library's own program. A process of its own compiles: libtpu ends
one that it does not like.
"""
import base64
import importlib.util
import json
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pallas_flash import Cache, _tpu, attention, decode

SIZES = (1, 4, 256, 128)
BF16 = jax.ShapeDtypeStruct(SIZES, jnp.bfloat16)


def lowered(f, *shapes):
    return jax.jit(f).trace(*shapes).lower(
        lowering_platforms=("tpu",)).as_text()


def kernels(text):
    """Names of the tpu_custom_calls, and what is in them, from a program's
    text."""
    found = []
    for line in text.splitlines():
        if "@tpu_custom_call" not in line:
            continue
        config = re.search(r'backend_config = "((?:[^"\\]|\\.)*)"', line)[1]
        config = json.loads(re.sub(
            r"\\([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), config))
        body = base64.b64decode(config["custom_call_config"].pop("body"))
        found.append((re.search(r'kernel_name = "(\w+)"', line)[1], config,
                      body))
    return found


def backward(q, k, v, d_o):
    return jax.vjp(lambda *a: attention(*a, causal=True, layout="BNTH"),
                   q, k, v)[1](d_o)


def test_kernels():
    """Forward and backward are one kernel each, and no Python is called."""
    text = lowered(backward, BF16, BF16, BF16, BF16)
    assert [name for name, _, _ in kernels(text)] == ["flash_forward",
                                                      "flash_backward"]
    assert text.count("stablehlo.custom_call") == 2 and "callback" not in text


def test_no_kernel():
    """A problem that the CPU computes and no TPU kernel: told when lowering."""
    x = jax.ShapeDtypeStruct((1, 1, 128, 128), jnp.float16)
    with pytest.raises(ValueError, match="f16"):
        lowered(lambda x: attention(x, x, x, layout="BNTH"), x)


@pytest.mark.parametrize("kind", ["full", "int8", "narrow", "lse"])
def test_decode(kind):
    head = 64 if kind == "narrow" else 128
    q = jax.ShapeDtypeStruct((2, 1, 8, head), jnp.bfloat16)
    cache = jax.eval_shape(lambda: Cache.zeros(
        2, 2, 1024, head, "int8" if kind == "int8" else "bfloat16"))
    lengths = jax.ShapeDtypeStruct((2,), jnp.int32)
    text = lowered(lambda *a: decode(*a, return_lse=kind == "lse"), q, cache,
                   lengths)
    assert "flash_decode" in [name for name, _, _ in kernels(text)]


@pytest.mark.parametrize("shape,tensor", [
    ((2, 3, 4), dict(shape=(2, 12))), ((5,), dict(shape=(8,))),
    ((2, 3), dict(shape=(2, 2, 2), spare=-1)), ((2, 3), dict(
        shape=(3, 2), swapped=True)),
    ((2, 3, 5), dict(shape=(2, 4, 5), spare=1)),
    ((2, 3, 5), dict(shape=(6, 8), row=5)),
    ((2, 3, 5), dict(shape=(2, 4, 8), row=5, spare=1))])
def test_there_and_back(shape, tensor):
    """A tensor put as a program has it, and got out of that again."""
    t = _tpu.Tensor("x", "float32", tensor["shape"],
                    tensor.get("swapped", False), tensor.get("row", 0),
                    tensor.get("spare", -1))
    x = jnp.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    put = t.put(x)
    assert put.shape == t.shape and float(put.sum()) == float(x.sum())
    np.testing.assert_array_equal(t.get(put, shape), x)


# ---- With libtpu and the command ---------------------------------------------

libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="needs libtpu")
command = pytest.mark.skipif(not os.environ.get("PFLASH"),
                             reason="needs PFLASH, the command")

COMPILE = """
import os, re, sys
os.environ["LIBTPU_INIT_ARGS"] = sys.argv[1]
import jax, jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding
from pallas_flash import Cache, attention, decode

topology = topologies.get_topology_desc(sys.argv[2], "tpu")
one = SingleDeviceSharding(topology.devices[0])

def of(shape, dtype=jnp.bfloat16):
    return jax.ShapeDtypeStruct(shape, dtype, sharding=one)

def ops(f, *shapes):
    text = jax.jit(f).lower(*shapes).compile().as_text()
    entry = text[text.index("ENTRY "):]
    return re.findall(r" = (?:\\(.*?\\)|\\S+) ([a-z][a-z0-9-]*)\\(", entry)
"""


def compiled(script, flags="", topology="v5e:2x2"):
    """The last line that the script prints, compiled for a topology."""
    environment = dict(os.environ, TPU_SKIP_MDS_QUERY="1", XLA_FLAGS="",
                       TPU_WORKER_HOSTNAMES="localhost",
                       TPU_ACCELERATOR_TYPE="v5litepod-4",
                       ALLOW_MULTIPLE_LIBTPU_LOAD="1", JAX_PLATFORMS="cpu")
    done = subprocess.run([sys.executable, "-c", COMPILE + script, flags,
                           topology], env=environment, text=True,
                          capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


@libtpu
def test_compiled():
    """Compiled for a v5e, nothing is copied: q, k, v, their gradients, nor a
    cache; nor between the kernels and projections that make BTNH."""
    said = compiled("""
found = {}
for width in (128, 64):
    x = of((1, 8, 1024, width))
    def call(q, k, v):
        return attention(q, k, v, causal=True, layout="BNTH")
    found[f"forward {width}"] = ops(call, x, x, x)
    found[f"backward {width}"] = ops(
        lambda q, k, v, d: jax.vjp(call, q, k, v)[1](d), x, x, x, x)
for dtype, width in (("bfloat16", 128), ("int8", 128), ("bfloat16", 64)):
    cache = jax.tree.map(lambda x: of(x.shape, x.dtype), jax.eval_shape(
        lambda: Cache.zeros(4, 2, 2048, width, dtype)))
    found[f"decode {dtype} {width}"] = ops(
        decode, of((4, 1, 8, width)), cache, of((4,), jnp.int32))
x = of((1, 1024, 512))
w = of((512, 4, 128))
def projected(x, w):
    q = jnp.einsum("btm,mnh->btnh", x, w)
    o = attention(q, q, q, causal=True)
    return jnp.einsum("btnh,mnh->btm", o, w)
found["projected"] = [op for op in ops(projected, x, w)
                      if op != "copy-start"]  # of the weights, to VMEM
import json; print(json.dumps(found))
""")
    found = json.loads(said)
    for name, ops in found.items():
        assert ops.count("custom-call") == 1 + ("backward" in name), (name, ops)
        assert not {"copy", "transpose", "copy-start", "pad"} & set(ops), (
            name, ops)


def cycles(*arguments):
    """Of each kernel, by name, from what `pflash schedule` prints; TLP's are
    those of the whole program."""
    told = subprocess.run([os.environ["PFLASH"], "schedule", *arguments],
                          text=True, capture_output=True, timeout=300)
    assert told.returncode == 0, told.stderr
    found = re.findall(r"^(\S+): ([\d,]+) cycles", told.stdout, re.MULTILINE)
    return {name: int(number.replace(",", "")) for name, number in found}


@libtpu
@command
def test_cycles(tmp_path):
    """The whole program, what XLA adds included, takes at most 2 % more cycles
    than the C library's kernels."""
    flags = (f"--xla_jf_dump_to={tmp_path} --xla_jf_dump_llo_text=true "
             f"--xla_mosaic_dump_to={tmp_path}/mosaic")
    compiled("""
x = of((4, 8, 512, 128))
def call(q, k, v):
    return attention(q, k, v, causal=True, layout="BNTH")
ops(lambda q, k, v, d: jax.vjp(call, q, k, v)[1](d), x, x, x, x)
print("done")
""", flags)
    ours = []
    for op, more in (("forward", ["--lse"]), ("backward", [])):
        ours += cycles("--op", op, *more, "--causal", "--shape",
                       "4,8,8,512,512,128").values()
    theirs = cycles(str(tmp_path), "--whole")
    whole = theirs.pop("TLP")
    print(f"cycles: {whole} under JAX, kernels {theirs}; the library's {ours}")
    assert sorted(theirs.values()) == sorted(ours)
    assert sum(ours) < whole <= 1.02 * sum(ours)


@command
def test_same_kernels(tmp_path):
    """Byte for byte what the command writes."""
    text = lowered(backward, BF16, BF16, BF16, BF16)
    for (name, config, body), op, more in zip(
            kernels(text), ("forward", "backward"), (["--lse"], [])):
        out = tmp_path / op
        subprocess.run([os.environ["PFLASH"], "compile", "--op", op, *more,
                        "--causal", "--shape", "1,4,4,256,256,128", "--emit",
                        "stablehlo", "--out", out], check=True,
                       capture_output=True)
        assert kernels(out.read_text()) == [(name, config, body)]
