"""`attention` on the CPU against fp64, jax.nn, splash attention, and itself
under JAX's transformations."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec as P

import reference
from pallas_flash import attention

GRID = range(24)


def gradients(case, return_lse, layout="BNTH"):
    """o, lse and the gradients of case, under jit, in BNTH."""
    q, k, v, d_o = map(jnp.asarray, case.inputs())
    keywords = case.keywords()
    sinks = keywords.pop("sinks")
    turn = (lambda x: jnp.swapaxes(x, 1, 2)) if layout == "BTNH" else (
        lambda x: x)

    def call(q, k, v, sinks):
        return attention(q, k, v, sinks=sinks, return_lse=return_lse,
                         layout=layout, **keywords)

    @jax.jit
    def run(q, k, v, sinks):
        made, back = jax.vjp(call, *map(turn, (q, k, v)), sinks)
        outs = tuple(map(turn, made if return_lse else (made,)))
        d_outs = (turn(d_o), turn(jnp.asarray(case.d_lse)))
        dq, dk, dv, dsinks = back(d_outs if return_lse else d_outs[0])
        return outs, tuple(map(turn, (dq, dk, dv))), dsinks

    outs, given, dsinks = run(q, k, v, sinks)
    named = dict(zip(("o", "lse"), outs))
    named.update(zip(("dq", "dk", "dv"), given))
    if dsinks is not None:
        named["dsinks"] = dsinks
    return named


@pytest.mark.parametrize("seed", GRID)
def test_grid(seed):
    """Every feature with others, gradients and lse's too, both layouts."""
    case = reference.draw(seed)
    return_lse = seed % 3 > 0
    result = reference.solve(case, d_lse=return_lse)
    got = gradients(case, return_lse, ["BNTH", "BTNH"][seed % 2])
    assert ("lse" in got) == return_lse
    for name, array in got.items():
        reference.check(name, array, result)


@pytest.mark.parametrize("causal,window,group", [
    (False, None, 1), (True, None, 2), (True, (30, 0), 4), (False, (9, 4), 1)])
def test_jax_nn(causal, window, group):
    """jax.nn.dot_product_attention, for which ours can be put."""
    r = np.random.default_rng(group)
    q = r.standard_normal((2, 96, 4, 32), dtype=np.float32)
    k, v = r.standard_normal((2, 2, 96, 4 // group, 32), dtype=np.float32)
    weights = r.standard_normal(q.shape, dtype=np.float32)
    # its local_window_size has meant different things
    ahead = np.arange(96) - np.arange(96)[:, None]
    left, right = window or (96, 96)
    seen = ((-left <= ahead) & (ahead <= right))[None, None]

    def loss(ours, q, k, v):
        if ours:
            o = attention(q, k, v, causal=causal, window=window)
        else:
            o = jax.nn.dot_product_attention(q, k, v, is_causal=causal,
                                             mask=seen)
        return (o * weights).sum(), o

    ours, theirs = (jax.jit(jax.grad(functools.partial(loss, which),
                                     (0, 1, 2), has_aux=True))(q, k, v)
                    for which in (True, False))
    # both round sums of some hundred terms of size 1 to 5, in f32
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs)):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)


@pytest.mark.parametrize("softcap,segments,window", [
    (None, False, None), (5.0, True, None), (None, True, (60, 0))])
def test_splash(softcap, segments, window):
    """JAX's splash attention, interpreted."""
    splash = pytest.importorskip(
        "jax.experimental.pallas.ops.tpu.splash_attention")
    heads, length, dim = 2, 256, 128
    r = np.random.default_rng(7)
    q, k, v, d_o = r.standard_normal((4, heads, length, dim),
                                     dtype=np.float32)
    q *= dim ** -0.5  # splash does not scale
    ids = np.sort(r.integers(0, 3, length)).astype(np.int32)
    one = (splash.LocalMask((length, length), window, 0) if window
           else splash.CausalMask((length, length)))
    kernel = splash.make_splash_mha(
        splash.MultiHeadMask([one] * heads), head_shards=1, q_seq_shards=1,
        attn_logits_soft_cap=softcap, interpret=True)

    def theirs(q, k, v):
        given = splash.SegmentIds(ids, ids) if segments else None
        return kernel(q, k, v, segment_ids=given)

    def ours(q, k, v):
        return attention(q[None], k[None], v[None], causal=True, scale=1.0,
                         window=window, softcap=softcap, layout="BNTH",
                         segment_ids=ids[None] if segments else None)[0]

    want, got = (jax.jit(f)(q, k, v) for f in (theirs, ours))
    # its interpreted products round to bf16's neighbours of f32: 2^-9 of values
    np.testing.assert_allclose(got, want, rtol=0, atol=4 * 2.0 ** -9)
    np.testing.assert_allclose(np.mean(abs(got - want)), 0, atol=2.0 ** -12)


def test_check_grads():
    """JAX's own finite differences, of o and lse together."""
    from jax.test_util import check_grads
    r = np.random.default_rng(3)
    q = r.standard_normal((1, 9, 2, 8), dtype=np.float32)
    k, v = r.standard_normal((2, 1, 11, 1, 8), dtype=np.float32)
    sinks = r.standard_normal(2, dtype=np.float32)

    def call(q, k, v, sinks):
        o, lse = attention(q, k, v, causal=True, window=(8, 0), softcap=4.0,
                           sinks=sinks, return_lse=True)
        return jnp.sin(o).sum() + jnp.cos(lse).sum()

    check_grads(call, (q, k, v, sinks), order=1, modes=["rev"], atol=2e-2,
                rtol=2e-2)


def test_merge_by_lse():
    """Two halves of the keys, merged, are the whole, gradients too."""
    r = np.random.default_rng(5)
    q, k, v = r.standard_normal((3, 2, 48, 3, 16), dtype=np.float32)

    def whole(q, k, v):
        return attention(q, k, v)

    def halves(q, k, v):
        parts = [attention(q, k[:, cut], v[:, cut], return_lse=True)
                 for cut in (slice(None, 20), slice(20, None))]
        (a, x), (b, y) = parts
        both = jnp.logaddexp(x, y)
        return (jnp.exp(x - both)[..., None] * a
                + jnp.exp(y - both)[..., None] * b)

    for f in (lambda g: g, lambda g: jax.grad(
            lambda *a: jnp.sin(g(*a)).sum(), (0, 1, 2))):
        for a, b in zip(jax.tree.leaves(jax.jit(f(whole))(q, k, v)),
                        jax.tree.leaves(jax.jit(f(halves))(q, k, v))):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("features", ["plain", "sinks", "ids", "both"])
def test_vmap(features):
    """vmap over any argument, with its gradient, is a loop."""
    r = np.random.default_rng(11)
    n = 3
    q = r.standard_normal((2, n, 10, 4, 8), dtype=np.float32)
    k, v = r.standard_normal((2, n, 2, 10, 2, 8), dtype=np.float32)
    sinks = r.standard_normal((n, 4), dtype=np.float32)
    ids = np.sort(r.integers(0, 2, (n, 2, 10))).astype(np.int32)
    axes = dict(plain=(1, 0, None, None, None), sinks=(1, 0, 0, 0, None),
                ids=(1, None, 0, None, 0), both=(1, 0, 0, None, 0))[features]
    given = [q, k, v, sinks, ids]
    if features not in ("sinks", "both"):
        given[3] = None
    elif axes[3] is None:
        given[3] = sinks[0]
    if features not in ("ids", "both"):
        given[4] = None
    given = [x if a is not None or i > 2 or x is None else x[0]
             for i, (x, a) in enumerate(zip(given, axes))]

    def loss(q, k, v, sinks, ids):
        o, lse = attention(q, k, v, sinks=sinks, segment_ids=ids, causal=True,
                           return_lse=True)
        return jnp.sin(o).sum() + jnp.cos(lse).sum()

    wanted = (0, 1, 2) + ((3,) if given[3] is not None else ())
    both = jax.value_and_grad(loss, wanted)
    got = jax.jit(jax.vmap(both, axes))(*given)
    for i in range(n):
        part = [x if a is None or x is None else np.take(x, i, axis=a)
                for x, a in zip(given, axes)]
        for a, b in zip(jax.tree.leaves(got),
                        jax.tree.leaves(jax.jit(both)(*part))):
            np.testing.assert_allclose(a[i], b, rtol=0, atol=1e-5)


def count(jaxpr, name):
    """Calls of a primitive in a jaxpr and those within it."""
    total = 0
    for equation in jaxpr.eqns:
        total += equation.primitive.name == name
        for value in jax.tree.leaves(
                list(equation.params.values()),
                is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                total += count(inner, name)
    return total


def test_checkpoint():
    """Recomputed, or kept by name; the gradient is the same bits."""
    r = np.random.default_rng(13)
    x = r.standard_normal((1, 32, 2, 16), dtype=np.float32)
    names = jax.checkpoint_policies.save_only_these_names(
        "pallas_flash_o", "pallas_flash_lse")

    def loss(x):
        return jnp.sin(attention(jnp.sin(x), x, x, causal=True)).sum()

    want = jax.jit(jax.grad(loss))(x)
    for policy, forwards in ((None, 2), (names, 1)):
        again = jax.grad(jax.checkpoint(loss, policy=policy))
        np.testing.assert_array_equal(jax.jit(again)(x), want)
        jaxpr = jax.make_jaxpr(again)(x).jaxpr
        assert count(jaxpr, "pallas_flash_forward") == forwards, policy


def test_shard_map():
    """Batch and heads over a mesh, keys and values of all: the gradient of what
    is replicated is summed."""
    mesh = Mesh(np.array(jax.devices()[:8]).reshape(2, 4), ("batch", "heads"))
    r = np.random.default_rng(17)
    q = r.standard_normal((2, 24, 8, 16), dtype=np.float32)
    k, v = r.standard_normal((2, 2, 24, 1, 16), dtype=np.float32)

    def loss(q, k, v):
        return jnp.sin(attention(q, k, v, causal=True)).sum()

    def spread(q, k, v):
        shard = jax.shard_map(
            lambda *a: attention(*a, causal=True), mesh=mesh,
            in_specs=(P("batch", None, "heads"), P("batch"), P("batch")),
            out_specs=P("batch", None, "heads"))
        return jnp.sin(shard(q, k, v)).sum()

    want, got = (jax.jit(jax.value_and_grad(f, (0, 1, 2)))(q, k, v)
                 for f in (loss, spread))
    for a, b in zip(jax.tree.leaves(want), jax.tree.leaves(got)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_no_copies():
    """The operands go to the kernel as they are, and it writes the results."""
    x = jax.ShapeDtypeStruct((1, 4, 64, 32), jnp.bfloat16)

    def both(q, k, v):
        return jax.vjp(lambda *a: attention(*a, layout="BNTH"), q, k, v)[1](q)

    text = jax.jit(both).lower(x, x, x).compile().as_text()
    assert text.count("custom-call(") == 2
    for op in (" copy(", " transpose(", " convert(", "fusion("):
        assert op not in text, op


def test_unbatched():
    """Three dimensions are a batch of one."""
    r = np.random.default_rng(19)
    q, k, v = r.standard_normal((3, 12, 2, 8), dtype=np.float32)
    ids = np.arange(12, dtype=np.int32) // 5
    o, lse = attention(q, k, v, segment_ids=ids, return_lse=True)
    want = attention(q[None], k[None], v[None], segment_ids=ids[None],
                     return_lse=True)
    np.testing.assert_array_equal(o, want[0][0])
    np.testing.assert_array_equal(lse, want[1][0])
