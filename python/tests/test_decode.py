"""`decode` and `Cache`: contiguous, int8 and paged, against the whole
sequence's attention and NumPy's calls."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pallas_flash.numpy as plain
import reference
from pallas_flash import Cache, decode

B, N, K, H, ROOM, PAGE = 3, 6, 2, 32, 40, 8


def tokens(r, count, dtype="float32"):
    """q, k, v of `count` new positions, in BTNH."""
    return [r.standard_normal((B, count, n, H)).astype(dtype)
            for n in (N, K, K)]


def paged(cache, r):
    """The same cache in pages, shuffled."""
    cache = cache.unpacked()
    columns = ROOM // PAGE
    table = r.permutation(B * columns).astype(np.int32).reshape(B, columns)

    def spread(x):
        if x is None:
            return None
        parts = x.reshape(B, x.shape[1], columns, PAGE, *x.shape[3:])
        pages = np.empty((B * columns, x.shape[1], PAGE) + x.shape[3:], x.dtype)
        pages[table.reshape(-1)] = np.moveaxis(parts, 2, 1).reshape(pages.shape)
        return pages

    return Cache(*map(spread, (cache.k, cache.v, cache.k_scale,
                               cache.v_scale)), table)


def filled(r, lengths, dtype, pages):
    """A cache with tokens of each sequence, NumPy's."""
    cache = Cache.zeros(B, K, ROOM, H, dtype, array_module=np)
    _, k, v = tokens(r, ROOM, "float32" if dtype == "int8" else dtype)
    plain.append(cache, k, v, np.zeros(B, np.int32))
    whole = cache.unpacked()
    for b, length in enumerate(lengths):  # what no query may see
        for x in (whole.k, whole.v, cache.k_scale, cache.v_scale):
            if x is not None:
                x[b, :, length:] = 100
    return paged(cache, r) if pages else cache


def contiguous(cache):
    """k and v as fp64 [B, K, ROOM, H]."""
    cache = cache.unpacked()
    def whole(x, scale):
        x = x.astype(np.float64)
        if scale is not None:
            x = x * scale[..., None]
        if cache.block_table is None:
            return x
        return np.moveaxis(x[cache.block_table], 2, 1).reshape(
            B, x.shape[1], -1, x.shape[-1])

    return whole(cache.k, cache.k_scale), whole(cache.v, cache.v_scale)


def check(cache, q, lengths, o, lse, dtype, **options):
    """Against each sequence's attention alone."""
    k, v = contiguous(cache)
    for b, length in enumerate(lengths):
        length = int(length)
        if length < q.shape[1]:
            continue
        sinks = options.get("sinks")
        case = reference.Case(
            dtype, np.swapaxes(q[b:b + 1], 1, 2).astype(np.float64),
            k[b:b + 1, :, :length], v[b:b + 1, :, :length],
            np.zeros((1, N, q.shape[1], H)), np.zeros((1, N, q.shape[1])),
            dict(causal=True, window=options.get("window"),
                 softcap=options.get("softcap"), scale=options.get("scale")),
            None, None if sinks is None else sinks.astype(np.float64))
        result = reference.solve(case)
        if str(cache.k.dtype) == "int8":  # q is rounded to 16 bits
            result.bounds["o"] = result.bounds["o"] + 4e-3
            result.bounds["lse"] = result.bounds["lse"] + 4e-3
        reference.check("o", np.swapaxes(o[b:b + 1], 1, 2), result)
        reference.check("lse", np.swapaxes(lse[b:b + 1], 1, 2), result)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("pages", [False, True])
@pytest.mark.parametrize("count,options", [
    (1, {}), (3, dict(window=(7, 0), softcap=4.0)), (2, dict(sinks=True))])
def test_decode(dtype, pages, count, options):
    r = np.random.default_rng(23)
    lengths = np.array([ROOM, 5, 17], np.int32)
    kind = "bfloat16" if dtype == "int8" else dtype
    cache = filled(r, lengths, dtype, pages)
    q, _, _ = tokens(r, count, kind)
    if "sinks" in options:
        options = dict(sinks=r.standard_normal(N).astype(np.float32))
    call = functools.partial(decode, return_lse=True, **options)
    o, lse = jax.jit(call)(q, cache, lengths)
    check(cache, q, lengths, o, lse, kind, **options)
    again = plain.decode(q, cache, lengths, return_lse=True, **options)
    np.testing.assert_array_equal(np.asarray(o), again[0])
    np.testing.assert_array_equal(np.asarray(lse), again[1])


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("pages", [False, True])
def test_append(dtype, pages):
    """A loop of append and decode under scan and donation is causal attention;
    tokens beyond the room are dropped."""
    r = np.random.default_rng(29)
    start = np.zeros(B, np.int32)
    empty = Cache.zeros(B, K, ROOM, H, dtype, array_module=np)
    empty = paged(empty, r) if pages else empty
    q, k, v = tokens(r, ROOM)

    def step(state, new):
        cache, lengths = state
        q, k, v = (x[:, None] for x in new)
        cache = cache.append(k, v, lengths)
        return (cache, lengths + 1), decode(q, cache, lengths + 1)[:, 0]

    @functools.partial(jax.jit, donate_argnums=0)
    def run(cache, lengths):
        new = tuple(jnp.swapaxes(x, 0, 1) for x in (q, k, v))
        (cache, lengths), o = jax.lax.scan(step, (cache, lengths), new)
        return cache, jnp.swapaxes(o, 0, 1)

    cache, o = run(jax.tree.map(jnp.asarray, empty), start)
    want = plain.attention(q, k, v, causal=True)
    # int8: rounding by half of 1/127 of a row's largest, which is about 3
    np.testing.assert_allclose(o, want, rtol=0,
                               atol=1e-5 if dtype == "float32" else 0.08)
    full = plain.append(jax.tree.map(np.array, empty), k, v, start)
    for got, made in zip(jax.tree.leaves(cache), jax.tree.leaves(full)):
        np.testing.assert_allclose(got, made, rtol=1e-6)
    beyond = cache.append(k[:, :2] + 5, v[:, :2] + 5,
                          jnp.array([ROOM, ROOM - 1, ROOM + 9], jnp.int32))
    beyond = jax.tree.map(np.asarray, beyond)
    before, after = contiguous(full)[0], contiguous(beyond)[0]
    changed = np.nonzero((abs(before - after) > 1e-3).any((1, 3)))
    assert [list(map(int, x)) for x in changed] == [[1], [ROOM - 1]]
    given = plain.append(jax.tree.map(np.array, full), k[:, :2] + 5,
                         v[:, :2] + 5,
                         np.array([ROOM, ROOM - 1, ROOM + 9], np.int32))
    np.testing.assert_allclose(contiguous(given)[0], after, atol=1e-6)


@pytest.mark.parametrize("pages", [False, True])
def test_vmap(pages):
    r = np.random.default_rng(31)
    lengths = np.array([ROOM, 5, 17], np.int32)
    cache = filled(r, lengths, "float32", pages)
    q = np.stack([tokens(r, 2)[0] for _ in range(2)])
    more = np.stack([lengths, lengths - 3])
    got = jax.jit(jax.vmap(decode, (0, None, 0)))(q, cache, more)
    both = jax.tree.map(lambda x: np.stack([x, x]), cache)
    again = jax.jit(jax.vmap(decode))(q, both, more)
    for i in range(2):
        want = decode(q[i], cache, more[i])
        np.testing.assert_array_equal(got[i], want)
        np.testing.assert_array_equal(again[i], want)


def test_errors():
    r = np.random.default_rng(37)
    lengths = np.array([4, 5, 6], np.int32)
    cache = filled(r, lengths, "float32", False)
    assert cache.pack == 4 and cache.k.shape == (B, K, ROOM // 4, 128)
    cache = cache.unpacked()
    q, k, v = tokens(r, 1)

    def fails(kind, words, call):
        with pytest.raises(kind, match=words):
            call()

    change = functools.partial(dataclasses.replace, cache)
    for give in (decode, plain.decode):
        fails(TypeError, "cache has dtype bfloat16 and q float32", lambda: give(
            q, change(k=cache.k.astype("bfloat16"),
                      v=cache.v.astype("bfloat16")), lengths))
        fails(ValueError, "lengths has shape", lambda: give(q, cache,
                                                            lengths[:2]))
        fails(TypeError, "lengths has dtype float32", lambda: give(
            q, cache, lengths.astype(np.float32)))
        fails(ValueError, "k_scale must be given with int8", lambda: give(
            q, change(k=cache.k.astype(np.int8), v=cache.v.astype(np.int8)),
            lengths))
        fails(ValueError, "q has 6 heads and k has 4", lambda: give(
            q, change(k=np.zeros((B, 4, ROOM, H), np.float32),
                      v=np.zeros((B, 4, ROOM, H), np.float32)), lengths))
    fails(TypeError, "must be a pallas_flash.Cache", lambda: decode(
        q, (cache.k, cache.v), lengths))
    fails(ValueError, "k has 2 heads of 16", lambda: cache.append(
        k[..., :16], v, lengths))
    fails(ValueError, "lengths.1. is 41: must be 0 to 40", lambda: plain.decode(
        q, cache, np.array([1, 41, 1], np.int32)))
    fails(Exception, "lengths.1. is 41: must be 0 to 40", lambda: jax.jit(
        decode)(q, cache, np.array([1, 41, 1], np.int32)).block_until_ready())
