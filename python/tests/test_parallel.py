"""Sequences over chips: on 4 and 8 virtual devices, gradients too, against one
device; compiled ahead of time for slices of v5e where there is libtpu."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec as P

import pallas_flash.numpy as plain
from pallas_flash import Cache, attention
from pallas_flash.parallel import (V5E, attention_over, choose, decode_over,
                                   positions, unzigzag, zigzag)
from test_tpu import compiled, libtpu

B, N, K, H, ROWS = 2, 4, 2, 16, 12  # ROWS of a chip


def spread(f, chips, counts):
    """f of arrays split along their second dimension, in jit; `counts`
    results."""
    mesh = Mesh(np.array(jax.devices()[:chips]), ("sequence",))
    share = P(None, "sequence")

    def call(*arrays, sinks=None):
        arrays = [x for x in arrays if x is not None]
        return jax.shard_map(
            lambda s, *a: f(*a, sinks=s), mesh=mesh,
            in_specs=(P(), *[share] * len(arrays)),
            out_specs=(share,) * counts)(sinks, *arrays)

    return call


@pytest.mark.parametrize("chips,method,causal,order,features", [
    (4, "ring", True, "zigzag", ()),
    (8, "ring", True, "zigzag", ("ids", "sinks", "softcap")),
    (4, "ring", False, "contiguous", ("sinks",)),
    (8, "ring", False, "contiguous", ("ids",)),
    (4, "gather", True, "zigzag", ("sinks", "ids")),
    (4, "gather", True, "contiguous", ("window",)),
    (8, "gather", False, "contiguous", ("softcap", "ids"))])
def test_attention(chips, method, causal, order, features):
    r = np.random.default_rng(chips)
    length = chips * ROWS
    q = r.standard_normal((B, length, N, H), dtype=np.float32)
    k, v = r.standard_normal((2, B, length, K, H), dtype=np.float32)
    ids = sinks = None
    if "ids" in features:
        ids = np.sort(r.integers(0, 3, (B, length))).astype(np.int32)
    if "sinks" in features:
        sinks = r.standard_normal(N, dtype=np.float32)
    options = dict(causal=causal,
                   softcap=4.0 if "softcap" in features else None,
                   window=(17, 0) if "window" in features else None)
    weights = r.standard_normal((B, length, N), dtype=np.float32)

    def loss(o, lse):
        return (jnp.sin(o).sum(-1) * weights).sum() + jnp.cos(lse).sum()

    def alone(q, k, v, sinks):
        o, lse = attention(q, k, v, segment_ids=ids, sinks=sinks,
                           return_lse=True, **options)
        return loss(o, lse), (o, lse)

    def over(q, k, v, *given, sinks):
        return attention_over("sequence", q, k, v, sinks=sinks,
                              segment_ids=given[0] if given else None,
                              return_lse=True, method=method, order=order,
                              **options)

    def shared(q, k, v, sinks):
        turn = functools.partial(zigzag, chips=chips) if order == "zigzag" \
            else lambda x: x
        back = functools.partial(unzigzag, chips=chips) if order == "zigzag" \
            else lambda x: x
        given = () if ids is None else (turn(jnp.asarray(ids)),)
        made = spread(over, chips, 2)(*map(turn, (q, k, v)), *given,
                                      sinks=sinks)
        o, lse = map(back, made)
        return loss(o, lse), (o, lse)

    argnums = (0, 1, 2) if sinks is None else (0, 1, 2, 3)
    want, got = (jax.jit(jax.value_and_grad(f, argnums, has_aux=True))(
        q, k, v, sinks) for f in (alone, shared))
    # sums of some hundred f32 terms of size 1 to 5
    for a, b in zip(jax.tree.leaves(want), jax.tree.leaves(got)):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=3e-5)


@pytest.mark.parametrize("chips", [4, 8])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_decode(chips, dtype):
    r = np.random.default_rng(chips)
    room = 16 * chips
    lengths = np.array([room, 3, 8 * chips + 1], np.int32)
    cache = Cache.zeros(3, K, room, H, dtype, array_module=np)
    k, v = r.standard_normal((2, 3, room, K, H), dtype=np.float32)
    plain.append(cache, k, v, np.zeros(3, np.int32))
    q = r.standard_normal((3, 2, N, H), dtype=np.float32)
    sinks = r.standard_normal(N, dtype=np.float32)
    want = plain.decode(q, cache, lengths, sinks=sinks, return_lse=True)
    mesh = Mesh(np.array(jax.devices()[:chips]), ("sequence",))
    split = jax.tree.map(lambda _: P(None, None, "sequence"), cache)

    @jax.jit
    def call(q, cache, lengths, sinks):
        return jax.shard_map(
            lambda q, c, n, s: decode_over("sequence", q, c, n, sinks=s,
                                           return_lse=True), mesh=mesh,
            in_specs=(P(), split, P(), P()), out_specs=(P(), P()))(
                q, cache, lengths, sinks)

    for a, b in zip(want, call(q, cache, lengths, sinks)):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("order", ["zigzag", "contiguous"])
def test_positions(order):
    """What zigzag makes of the numbers of all positions."""
    chips, whole = 4, jnp.arange(32, dtype=jnp.int32)[None]
    mesh = Mesh(np.array(jax.devices()[:chips]), ("sequence",))
    told = jax.shard_map(lambda: positions(8, "sequence", order)[None],
                         mesh=mesh, in_specs=(),
                         out_specs=P(None, "sequence"))()
    moved = zigzag(whole, chips) if order == "zigzag" else whole
    np.testing.assert_array_equal(told, moved)
    np.testing.assert_array_equal(unzigzag(zigzag(whole, chips), chips), whole)


def test_choose():
    """Each way where the model says; what does not fit goes round."""
    short, _ = choose((1, 8, 128, 128), 8, 4, True)
    long, seconds = choose((1, 8, 8192, 128), 8, 16, True)
    assert (short, long) == ("gather", "ring")
    work = 2 * 8 * 8192 ** 2 * 128 / (V5E.flops * V5E.efficiency)
    assert seconds["ring"] >= 16 * work
    few, seconds = choose((1, 8, 4096, 128), 1, 256, False)
    assert few == "ring" and seconds["gather"] > 0


@pytest.mark.parametrize("words,change", [
    ("a causal ring must be in zigzag", dict(method="ring",
                                             order="contiguous")),
    ("window must come with causal", dict(method="ring", window=4)),
    ("must be even", dict(rows=3)),
    ("method is 'all'", dict(method="all")),
    ("order is 'spiral'", dict(order="spiral"))])
def test_errors(words, change):
    x = np.zeros((1, 2 * change.pop("rows", 4), 2, 8), np.float32)
    with pytest.raises(ValueError, match=words):
        spread(lambda q, sinks: (attention_over(
            "sequence", q, q, q, causal=True, **change),), 2, 1)(x)


@libtpu
@pytest.mark.parametrize("topology", ["v5e:2x2", "v5e:4x4", "v5e:16x16"])
def test_compiled(topology):
    """Training and decode over the whole slice, compiled."""
    said = compiled("""
import functools, math, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from pallas_flash.parallel import attention_over, decode_over
chips = len(topology.devices)
batch = 1 if chips == 4 else 2
mesh = Mesh(np.array(topology.devices).reshape(batch, -1),
            ("batch", "sequence"))
rows = P("batch", None, "sequence")
def of(shape, spec, dtype=jnp.bfloat16):
    return jax.ShapeDtypeStruct(shape, dtype,
                                sharding=NamedSharding(mesh, spec))
x = of((batch, 2, 256 * chips // batch, 128), rows)
def over(method, q, k, v):
    return jax.shard_map(
        lambda *a: attention_over("sequence", *a, causal=True, method=method,
                                  layout="BNTH"),
        mesh=mesh, in_specs=(rows,) * 3, out_specs=rows)(q, k, v)
def text(f, *shapes):
    return jax.jit(f).lower(*shapes).compile().as_text()
for method in ("ring", "gather"):
    both = lambda q, k, v, d: jax.vjp(functools.partial(over, method),
                                      q, k, v)[1](d)
    made = text(both, x, x, x, x)
    assert made.count("tpu_custom_call") >= 2, made
    assert ("collective-permute" if method == "ring" else "all-gather") in made
cache = jax.tree.map(lambda x: of(x.shape, rows, x.dtype), jax.eval_shape(
    lambda: Cache.zeros(2, 2, 256 * chips, 128)))
def step(q, cache, n):
    return jax.shard_map(
        lambda *a: decode_over("sequence", *a), mesh=mesh,
        in_specs=(P("batch"), rows, P("batch")),
        out_specs=P("batch"))(q, cache, n)
made = text(step, of((2, 1, 8, 128), P("batch")), cache,
            of((2,), P("batch"), jnp.int32))
assert "tpu_custom_call" in made and "all-reduce" in made
print(chips, "chips")
""", topology=topology)
    assert said == f"{eval(topology[4:].replace('x', '*'))} chips"
