"""Attention of sequences that are spread over chips, inside jax.shard_map.

Heads and batch need nothing of this: `attention` under shard_map does. Here it
is the sequence that is split, for contexts longer than one chip serves. Every
chip has an equal share of q, k and v; two ways bring it the keys of the others:

  ring    K and V go round, a share at a time, while the share before is worked
          on; parts are merged by their lse. A chip holds two shares. The
          gradient goes round once more, with P from the whole's lse, so that
          nothing is kept of the steps. (Liu, Zaharia, Abbeel, 2023, arXiv
          2310.01889)
  gather  all of K and V on each chip at once, and one or two long calls.

`choose` says which, by a cost model that is stated there.

With causal attention later positions have more to do. In the order that
`zigzag` makes, each of n chips has chunk i and chunk 2n - 1 - i of 2n, and all
have the same work in every step:

  chips       0     1     2     3
  chunks     0 7   1 6   2 5   3 4

Positions for rotary embeddings and the like are `positions`'s.
"""
from __future__ import annotations

import dataclasses
import functools
from typing import Any

from pallas_flash import _jax, _problem
from pallas_flash._attention import Call, attention, backward_p, forward_p
from pallas_flash._attention import to_bnth
from pallas_flash._decode import Cache, decode

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["Chip", "V5E", "attention_over", "choose", "decode_over",
           "positions", "unzigzag", "zigzag"]


# ---- The order of a sequence -------------------------------------------------

def _zigzag_chunks(chips: int) -> np.ndarray:
    """Numbers of the 2 * chips chunks in the order in which chips have them."""
    i = np.arange(chips)
    return np.stack([i, 2 * chips - 1 - i], 1).reshape(-1)


def _take_chunks(x: Any, order: np.ndarray, axis: int) -> Any:
    length = x.shape[axis]
    if length % len(order):
        raise ValueError(f"the sequence has {length} positions: must be a "
                         f"multiple of {len(order)}, two for each chip")
    shape = x.shape
    x = x.reshape(shape[:axis] + (len(order), -1) + shape[axis + 1:])
    return jnp.take(x, order, axis=axis).reshape(shape)


def zigzag(x: Any, chips: int, axis: int = 1) -> Any:
    """A whole sequence in the order in which causal work is shared evenly when
    it is then split over `chips`."""
    return _take_chunks(x, _zigzag_chunks(chips), axis)


def unzigzag(x: Any, chips: int, axis: int = 1) -> Any:
    """The sequence in its own order again."""
    return _take_chunks(x, np.argsort(_zigzag_chunks(chips)), axis)


def positions(length: int, axis_name: str, order: str = "zigzag") -> Any:
    """int32 [length]: where in the whole sequence this chip's `length` rows
    are, inside shard_map."""
    i, n = lax.axis_index(axis_name), lax.axis_size(axis_name)
    if order == "contiguous":
        return i * length + jnp.arange(length, dtype=jnp.int32)
    half = length // 2
    row = jnp.arange(half, dtype=jnp.int32)
    return jnp.concatenate([i * half + row, (2 * n - 1 - i) * half + row])


# ---- The cost model ----------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Chip:
    """What the model knows of a chip. None of it was measured by us."""
    flops: float         # bf16, a second
    efficiency: float    # of attention, by the cycle model
    link_bytes: float    # a second over one link, one way
    call_s: float        # what a kernel's start takes: about 1000 cycles
    hop_s: float         # until the first byte is at the neighbour
    gathered_bytes: int  # K and V of a head that a kernel holds at once


V5E = Chip(flops=197e12, efficiency=0.7, link_bytes=45e9, call_s=1e-6,
           hop_s=1e-6, gathered_bytes=64 << 20)


def choose(q_shape: tuple[int, ...], kv_heads: int, chips: int, causal: bool,
           item: int = 2, chip: Chip = V5E) -> tuple[str, dict[str, float]]:
    """("ring" or "gather", seconds of each) for shares [B, N, T, H] of q.

    A share's work is W = 4 B N T T H flops at flops * efficiency, half with
    causal; its K and V are M = 2 B K T H bytes. Then, with n chips,
      ring    W + (n - 1) max(W, M / link + hop) + calls: steps hide transfers
      gather  (n - 1) (M / link + hop) / 2 + n W + calls: both ways round, and
              nothing is hidden
    and gather must fit: n shares of a head's K and V, twice, in gathered_bytes.
    """
    B, N, T, H = q_shape
    work = (4 * B * N * T * T * H / (2 if causal else 1)
            / (chip.flops * chip.efficiency))
    move = 2 * B * kv_heads * T * H * item / chip.link_bytes + chip.hop_s
    seconds = dict(
        ring=work + (chips - 1) * max(work, move) + chips * chip.call_s,
        gather=(chips - 1) * move / 2 + chips * work + 2 * chip.call_s)
    fits = 2 * chips * 2 * T * H * item <= chip.gathered_bytes
    if not fits:
        return "ring", seconds
    return min(seconds, key=seconds.get), seconds


# ---- The ring ----------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class _Ring:
    """A ring's problem: causal is in zigzag order."""
    scores: _problem.Scoring  # of a part: neither causal nor windowed
    axis: str
    causal: bool

    def call(self, ids: tuple, causal: bool = False, **more: bool) -> Call:
        scores = dataclasses.replace(self.scores, causal=causal)
        return Call(scores, segment_ids=bool(ids), **more)


def _next(axis: str, *arrays: Any) -> list[Any]:
    """Each array of the chip before."""
    n = lax.axis_size(axis)
    ring = [(i, (i + 1) % n) for i in range(n)]
    return [jax.tree.map(lambda x: lax.ppermute(x, axis, ring), x)
            for x in arrays]


def _halves(x: Any) -> list[Any]:
    return jnp.split(x, 2, axis=2 if x.ndim > 2 else 1)


def _pairs(first: bool, x: Any, earlier: Any) -> Any:
    """What two calls take of a tensor whose two chunks are x1 and x2, as one
    batch. Of q, o and the like (first is False): x2, and x1 if the keys are an
    earlier chip's, else x2. Of keys: x1, and x1 or x2 alike."""
    x1, x2 = _halves(x)
    return jnp.concatenate([x1 if first else x2,
                            jnp.where(earlier, x1, x2)])


def _unpair(first: bool, x: Any, earlier: Any) -> Any:
    """Gradients of _pairs's, summed to [.., both chunks, ..] in f32."""
    always, other = jnp.split(x.astype(jnp.float32), 2)
    to_1 = jnp.where(earlier, other, 0)
    to_2 = jnp.where(earlier, 0, other)
    halves = [always + to_1, to_2] if first else [to_1, always + to_2]
    return jnp.concatenate(halves, axis=2)


def _merge(a: tuple, b: tuple) -> tuple:
    """Two parts (o in f32, lse) of the same rows."""
    lse = jnp.logaddexp(a[1], b[1])
    seen = jnp.where(lse == -jnp.inf, 0, lse)
    return sum(jnp.exp(x - seen)[..., None] * o.astype(jnp.float32)
               for o, x in (a, b)), lse


def _merge_pairs(whole: tuple, part: tuple, earlier: Any) -> tuple:
    (o_2, o_x), (lse_2, lse_x) = (jnp.split(x, 2) for x in part)
    none = jnp.full_like(lse_x, -jnp.inf)
    to_1 = jnp.where(earlier, lse_x, none)
    to_2 = jnp.where(earlier, none, lse_x)
    whole = _merge(whole, (jnp.concatenate([o_x, o_2], 2),
                           jnp.concatenate([to_1, lse_2], 2)))
    return _merge(whole, (jnp.concatenate([o_x, o_x], 2),
                          jnp.concatenate([none, to_2], 2)))


def _round(ring: _Ring, moving: Any, state: Any, work: Any) -> tuple[Any, Any]:
    """state = work(step, moving, state) for the steps 1 .. n - 1, `moving`
    having come that many chips along; the transfer for the next step begins
    before."""
    n = lax.axis_size(ring.axis)
    if n == 1:
        return moving, state

    def step(carried, number):
        moving, state = carried
        return (_next(ring.axis, *moving), work(number, moving, state)), None

    (moving, state), _ = lax.scan(step, (moving, state),
                                  jnp.arange(1, n - 1, dtype=jnp.int32))
    return moving, work(jnp.int32(n - 1), moving, state)


def _ring_forward(ring: _Ring, q, k, v, ids):
    q_ids, kv_ids = ids[:1], ids[1:]
    index = lax.axis_index(ring.axis)
    moving = _next(ring.axis, k, v, kv_ids)
    o, lse = forward_p.bind(q, k, v, *ids,
                            call=ring.call(ids, ring.causal, lse=True))

    def work(number, moving, state):
        k, v, kv_ids = moving
        if not ring.causal:
            part = forward_p.bind(q, k, v, *q_ids, *kv_ids,
                                  call=ring.call(ids, lse=True))
            return _merge(state, part)
        earlier = number <= index
        part = forward_p.bind(
            _pairs(False, q, earlier), _pairs(True, k, earlier),
            _pairs(True, v, earlier),
            *[_pairs(False, x, earlier) for x in q_ids],
            *[_pairs(True, x, earlier) for x in kv_ids],
            call=ring.call(ids, lse=True))
        return _merge_pairs(state, part, earlier)

    _, (o, lse) = _round(ring, moving, (o.astype(jnp.float32), lse), work)
    return o.astype(q.dtype), lse


def _ring_backward(ring: _Ring, kept, gradients):
    q, k, v, o, lse, ids = kept
    d_o, d_lse = gradients
    q_ids, kv_ids = ids[:1], ids[1:]
    index = lax.axis_index(ring.axis)
    ahead = _next(ring.axis, k, v, kv_ids)
    sums = [x.astype(jnp.float32) for x in backward_p.bind(
        q, k, v, o, lse, d_o, *ids, d_lse,
        call=ring.call(ids, ring.causal, d_lse=True))]
    dq, kv_sums = sums[0], _next(ring.axis, *sums[1:])

    def pieces(number, k, v, kv_ids):
        """(dq, dk, dv) of the share that is here."""
        if not ring.causal:
            return [x.astype(jnp.float32) for x in backward_p.bind(
                q, k, v, o, lse, d_o, *q_ids, *kv_ids, d_lse,
                call=ring.call(ids, d_lse=True))]
        earlier = number <= index
        rows = [_pairs(False, x, earlier)
                for x in (q, o, lse, d_o, *q_ids, d_lse)]
        k, v, *kv_ids = (_pairs(True, x, earlier) for x in (k, v, *kv_ids))
        made = backward_p.bind(
            rows[0], k, v, *rows[1:4], *rows[4:-1], *kv_ids, rows[-1],
            call=ring.call(ids, d_lse=True))
        return [_unpair(first, x, earlier)
                for first, x in zip((False, True, True), made)]

    def work(number, moving, state):
        k, v, kv_ids = moving
        dq, dk, dv = state
        more = pieces(number, k, v, kv_ids)
        # the sums go on with the keys that they are of, to arrive at home
        return (dq + more[0],
                *_next(ring.axis, dk + more[1], dv + more[2]))

    if lax.axis_size(ring.axis) == 1:
        dk, dv = sums[1:]
    else:
        _, (dq, dk, dv) = _round(ring, ahead, (dq, *kv_sums), work)
    return (dq.astype(q.dtype), dk.astype(k.dtype), dv.astype(v.dtype),
            (None,) * len(ids))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _ring_attend(ring: _Ring, q, k, v, ids):
    return _ring_forward(ring, q, k, v, ids)


def _ring_attend_forward(ring, q, k, v, ids):
    o, lse = _ring_forward(ring, q, k, v, ids)
    return (o, lse), (q, k, v, o, lse, ids)


_ring_attend.defvjp(_ring_attend_forward, _ring_backward)


# ---- Gathering ---------------------------------------------------------------

def _roll_to(x: Any, last: Any, chunk: int, axis: int) -> Any:
    """The sequence turned so that chunk number `last` ends it."""
    return jnp.roll(x, -(last + 1) * chunk, axis)


def _gather(axis_name: str, q, k, v, ids, causal: bool, order: str, options):
    n, index = lax.axis_size(axis_name), lax.axis_index(axis_name)

    def all_of(x, axis):
        x = lax.all_gather(x, axis_name, axis=axis, tiled=True)
        return unzigzag(x, n, axis) if order == "zigzag" else x

    k, v = all_of(k, 2), all_of(v, 2)
    if not causal:
        pair = (ids[0], all_of(ids[1], 1)) if ids else None
        return attention(q, k, v, segment_ids=pair, return_lse=True,
                         layout="BNTH", **options)
    chunks = [index, 2 * n - 1 - index] if order == "zigzag" else [index]
    length = q.shape[2] // len(chunks)
    kv_ids = (all_of(ids[1], 1) if ids
              else jnp.zeros((q.shape[0], k.shape[2]), jnp.int32))
    number = jnp.arange(k.shape[2], dtype=jnp.int32) // length
    parts = []
    for i, own in enumerate(chunks):
        rows = slice(i * length, (i + 1) * length)
        q_ids = (ids[0][:, rows] if ids
                 else jnp.zeros((q.shape[0], length), jnp.int32))
        # later chunks, which have come before the first, get nobody's id
        known = jnp.where(number <= own, kv_ids, jnp.iinfo(jnp.int32).min)
        turned = [_roll_to(x, own, length, axis)
                  for x, axis in ((k, 2), (v, 2), (known, 1))]
        parts.append(attention(
            q[:, :, rows], *turned[:2], causal=True,
            segment_ids=(q_ids, turned[2]), return_lse=True, layout="BNTH",
            **options))
    return tuple(jnp.concatenate(x, axis=2) for x in zip(*parts))


# ---- The calls ---------------------------------------------------------------

def _add_sinks(o: Any, lse: Any, sinks: Any) -> tuple[Any, Any]:
    """A sink's place in the denominator, after all parts; rows that see no key
    have none."""
    none = lse == -jnp.inf
    seen = jnp.where(none, 0.0, lse)
    both = jnp.logaddexp(seen, sinks[:, None])
    o = (o * jnp.exp(seen - both)[..., None]).astype(o.dtype)
    return o, jnp.where(none, -jnp.inf, both)


def attention_over(axis_name: str, q: Any, k: Any, v: Any, *,
                   causal: bool = False, window: _problem.Window = None,
                   softcap: float | None = None, scale: float | None = None,
                   segment_ids: Any = None, sinks: Any = None,
                   return_lse: bool = False, layout: str = "BTNH",
                   method: str = "auto", order: str | None = None) -> Any:
    """`pallas_flash.attention` of sequences that are split over a mesh axis;
    inside jax.shard_map, each chip giving its share [B, T, N, H] and getting
    that of o. The other arguments, results and errors are attention's.

    Args:
      axis_name: of the mesh, over any number of chips and hosts.
      segment_ids: int32 [B, T], this chip's, or a pair.
      window: only with causal, and by gathering.
      method: "ring", "gather", or "auto": what `choose` says.
      order: of the whole sequence: "zigzag" (with causal the default, and what
        a causal ring needs) or "contiguous".

    Differentiable in q, k, v and sinks.
    """
    _problem.check_layout(layout)
    order = order or ("zigzag" if causal else "contiguous")
    if method not in ("auto", "ring", "gather"):
        raise ValueError(f"method is {method!r}: must be 'auto', 'ring' or "
                         "'gather'")
    if order not in ("zigzag", "contiguous"):
        raise ValueError(f"order is {order!r}: must be 'zigzag' or "
                         "'contiguous'")
    for name, x in (("q", q), ("k", k), ("v", v)):
        _problem.check_array(name, x, _problem.FLOATS, [4])
    q, k, v = (to_bnth(x, layout) for x in (q, k, v))
    _problem.check_attention(q, k, v)
    _problem.check_sinks(sinks, q.shape[1])
    if q.shape[2] != k.shape[2]:
        raise ValueError(f"q has {q.shape[2]} rows and k {k.shape[2]} on a "
                         "chip: must be the same")
    if order == "zigzag" and q.shape[2] % 2:
        raise ValueError(f"a chip has {q.shape[2]} rows: must be even in "
                         "zigzag order")
    if window is not None and (not causal or method == "ring"):
        raise ValueError("window must come with causal, and without a ring")
    if causal and order == "contiguous" and method == "ring":
        raise ValueError("a causal ring must be in zigzag order")
    ids = _problem.split_segment_ids(segment_ids, q, k) or ()
    n = lax.axis_size(axis_name)
    if method == "auto":
        ringable = window is None and not (causal and order == "contiguous")
        method = choose(q.shape, k.shape[1], n, causal,
                        q.dtype.itemsize)[0] if ringable else "gather"
    index = lax.axis_index(axis_name)
    *arrays, _ = _jax.vary_alike([q, k, v, *ids, index])
    q, k, v, *ids = arrays
    if method == "ring":
        scores = _problem.scoring(q.shape[3], False, None, softcap, scale)
        o, lse = _ring_attend(_Ring(scores, axis_name, bool(causal)), q, k, v,
                              tuple(ids))
    else:
        o, lse = _gather(axis_name, q, k, v, ids, causal, order,
                         dict(softcap=softcap, scale=scale, window=window))
    if sinks is not None:
        o, lse = _add_sinks(o, lse, sinks)
    o = to_bnth(o, layout)
    return (o, to_bnth(lse, layout)) if return_lse else o


def decode_over(axis_name: str, q: Any, cache: Cache, lengths: Any, *,
                softcap: float | None = None, scale: float | None = None,
                sinks: Any = None, return_lse: bool = False,
                layout: str = "BTNH") -> Any:
    """`pallas_flash.decode` with caches that are split over a mesh axis, inside
    jax.shard_map: chip i has the tokens i * room and on of every sequence, room
    being its share (whole rows of the cache: a multiple of its pack). q,
    lengths (of the whole) and the result are the same on all chips. Each chip
    attends its own tokens; parts are merged by their lse, which takes one
    exchange of o. Contiguous caches; no window.
    """
    _problem.check_layout(layout)
    if cache.block_table is not None:
        raise ValueError("the cache is paged: must be contiguous")
    q = to_bnth(q, layout)
    room, index = cache.length, lax.axis_index(axis_name)
    count = q.shape[2]
    parts = []
    for t in range(count):  # each position ends where it is
        own = jnp.clip(lengths - (count - 1 - t) - index * room, 0, room)
        parts.append(decode(q[:, :, t:t + 1], cache, own, softcap=softcap,
                            scale=scale, return_lse=True, layout="BNTH"))
    o, lse = (jnp.concatenate(x, axis=2) for x in zip(*parts))
    top = lax.pmax(lse, axis_name)
    weight = jnp.exp(lse - jnp.where(top == -jnp.inf, 0, top))
    total = lax.psum(weight, axis_name)
    o = lax.psum(weight[..., None] * o.astype(jnp.float32), axis_name)
    o = (o / jnp.where(total == 0, 1, total)[..., None]).astype(q.dtype)
    lse = jnp.where(total == 0, -jnp.inf, top + jnp.log(total))
    if sinks is not None:
        o, lse = _add_sinks(o, lse, sinks)
    o = to_bnth(o, layout)
    return (o, to_bnth(lse, layout)) if return_lse else o
