"""`decode`: attention of new positions over a cache."""
from __future__ import annotations

import dataclasses
import functools
from typing import Any

from pallas_flash import _jax, _problem, _tpu
from pallas_flash._attention import to_bnth
from pallas_flash._cache import Cache, check_append, places, quantise

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["Cache", "append", "decode"]

_FIELDS = ["k", "v", "k_scale", "v_scale", "block_table"]
jax.tree_util.register_dataclass(Cache, data_fields=_FIELDS,
                                 meta_fields=["pack"])


# ---- The primitive -----------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Call:
    """As _attention.Call: operands q k v, k_scale v_scale, lengths, block_table
    and sinks, as far as there are."""
    scores: _problem.Scoring
    lse: bool
    scaled: bool
    pages: int | None  # columns of block_table
    sinks: bool

    def attributes(self) -> dict[str, Any]:
        s = self.scores
        return dict(
            scale=np.float64(s.scale), softcap=np.float64(s.softcap),
            causal=np.int64(s.causal), windowed=np.int64(s.windowed),
            window_left=np.int64(s.window_left),
            window_right=np.int64(s.window_right),
            scaled=np.int64(self.scaled),
            paged=np.int64(self.pages is not None),
            pages=np.int64(self.pages or 0), sinks=np.int64(self.sinks))


def _shapes(q, k, v, *_, call):
    rows = q.shape[:3]
    return [(rows + v.shape[3:], q.dtype)] + [(rows, "float32")] * call.lse


def _names(call):
    return (["q", "k", "v"] + ["k_scale", "v_scale"] * call.scaled
            + ["lengths"] + ["block_table"] * (call.pages is not None)
            + ["sinks"] * call.sinks, ["o"] + ["lse"] * call.lse)


def _program(target, q, k, v, *_, call):
    struct = _problem.decode_struct(q, k, v, call.pages, call.scores)
    return _tpu.program("decode", target, struct, lse=call.lse,
                        sinks=call.sinks)


def _batch(operands, dims, *, call):
    """vmap: with the batch; sinks and pages that all share stay as they are."""
    names, results = _names(call)
    given = dict(zip(names, dims))
    size = next(x.shape[d] for x, d in zip(operands, dims) if d is not None)
    shared = ["sinks"]
    if call.pages is not None:
        shared += ["k", "v", "k_scale", "v_scale"]
    if any(given.get(name) is not None for name in shared):
        return _jax.one_by_one(decode_p, operands, dims, call=call)
    folded = [x if name in shared else _jax.fold(x, d, size, 0)
              for x, d, name in zip(operands, dims, names)]
    made = decode_p.bind(*folded, call=call)
    return [_jax.unfold(x, size, 0) for x in made], [0] * len(results)


decode_p = _jax.primitive("decode", _shapes, _batch,
                          _jax.tpu_rule(_program, _names, _shapes))


# ---- The calls ---------------------------------------------------------------

def decode(q: Any, cache: Cache, lengths: Any, *,
           window: _problem.Window = None, softcap: float | None = None,
           scale: float | None = None, sinks: Any = None,
           return_lse: bool = False, layout: str = "BTNH") -> Any:
    """Attention of each sequence's last T positions over its cache, which holds
    them already (`Cache.append`), by the split of FlashDecoding (Dao, Haziza,
    Massa, Sizov, 2023).

    Args:
      q: [B, T, N, H], f32, bf16 or f16; T >= 1. The queries see each other
        causally.
      cache: with heads of k's kind; of q's dtype, or int8.
      lengths: int32 [B], tokens in the cache, the T new ones included; at least
        0 and at most the cache's room.
      window: keys before a query that it sees; a pair's right side has no
        effect.
      softcap, scale, sinks, layout: as `attention`'s.
      return_lse: give (o, lse).

    Returns:
      o: [B, T, N, Hv] of q's dtype; and if return_lse, lse: f32 [B, T, N].

    Raises:
      TypeError, ValueError: as `attention`. On the CPU a length or page out of
      range fails when the program runs. There is no gradient.
    """
    _problem.check_layout(layout)
    _problem.check_array("q", q, _problem.FLOATS, [4])
    if not isinstance(cache, Cache):
        raise TypeError(f"cache is {type(cache).__name__}: must be a "
                        "pallas_flash.Cache")
    cache = cache.unpacked()
    q = to_bnth(jnp.asarray(q), layout)
    lengths = jnp.asarray(lengths)
    _problem.check_decode(q, cache, lengths)
    _problem.check_sinks(sinks, q.shape[1])
    scores = _problem.scoring(q.shape[3], True, window, softcap, scale)
    table = cache.block_table
    call = Call(scores, bool(return_lse), cache.k_scale is not None,
                None if table is None else table.shape[1], sinks is not None)
    operands = [q, cache.k, cache.v, cache.k_scale, cache.v_scale, lengths,
                table, sinks]
    made = decode_p.bind(*_jax.vary_alike(
        [x for x in operands if x is not None]), call=call)
    results = tuple(to_bnth(x, layout) for x in made)
    return results if return_lse else results[0]


def append(cache: Cache, k: Any, v: Any, lengths: Any, *,
           layout: str = "BTNH") -> Cache:
    """See `Cache.append`."""
    _problem.check_layout(layout)
    for name, x in (("k", k), ("v", v)):
        _problem.check_array(name, x, _problem.FLOATS, [4])
    k, v = (to_bnth(jnp.asarray(x), layout) for x in (k, v))
    lengths = jnp.asarray(lengths)
    whole = jax.eval_shape(Cache.unpacked, cache)
    check_append(whole, k, v, lengths)
    whole = dataclasses.replace(whole, block_table=cache.block_table)
    block, slot = places(whole, lengths, k.shape[2], jnp)

    def put(into, x):
        """x [B, Hkv, T, D], or scales [B, Hkv, T], where its tokens belong."""
        pack, dim = (cache.pack, x.shape[3]) if x.ndim > 3 else (1, 0)
        at = [block, slot // pack] + [slot % pack * dim] * (x.ndim > 3)
        numbers = jax.lax.ScatterDimensionNumbers(
            update_window_dims=tuple(range(2, x.ndim)),
            inserted_window_dims=(0, 2),
            scatter_dims_to_operand_dims=(0, 2, 3)[:len(at)])
        return jax.lax.scatter(
            into, jnp.stack(at, -1), jnp.swapaxes(x, 1, 2).astype(into.dtype),
            numbers, mode=jax.lax.GatherScatterMode.FILL_OR_DROP)

    if cache.k_scale is None:
        return dataclasses.replace(cache, k=put(cache.k, k),
                                   v=put(cache.v, v))
    k, k_scale = quantise(k, jnp)
    v, v_scale = quantise(v, jnp)
    return dataclasses.replace(
        cache, k=put(cache.k, k), v=put(cache.v, v),
        k_scale=put(cache.k_scale, k_scale),
        v_scale=put(cache.v_scale, v_scale))
