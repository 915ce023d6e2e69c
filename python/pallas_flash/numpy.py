"""The same calls on NumPy arrays, without JAX; bf16 is ml_dtypes' bfloat16.

Arrays are handed to the C library as they lie, if they are C-contiguous in
BNTH; others are copied first. Anything that NumPy can view without a copy,
through `numpy.from_dlpack` for instance, does as well. Results are new arrays.
Errors: those of `pallas_flash.attention`.
"""
from __future__ import annotations

from ctypes import byref
from typing import Any

import ml_dtypes  # noqa: F401  (gives NumPy the name "bfloat16")
import numpy as np

from pallas_flash import _library, _problem
from pallas_flash._cache import Cache, check_append, places, quantise

__all__ = ["Cache", "append", "attention", "attention_backward", "decode"]


def _turn(x: Any, layout: str) -> np.ndarray:
    """BNTH of the caller's layout and back."""
    x = np.asarray(x)
    if layout == "BTNH" and x.ndim >= 3:
        x = np.swapaxes(x, 1, 2)
    return x


def _packed(x: Any, layout: str = "BNTH") -> np.ndarray | None:
    return None if x is None else np.ascontiguousarray(_turn(x, layout))


def _at(x: np.ndarray | None) -> int | None:
    return None if x is None else x.ctypes.data


def _problem_of(q, k, v, segment_ids, sinks, layout, scoring):
    """What forward and backward begin with, checked."""
    _problem.check_layout(layout)
    q, k, v = (_packed(x, layout) for x in (q, k, v))
    _problem.check_attention(q, k, v)
    scores = _problem.scoring(q.shape[3], **scoring)
    ids = _problem.split_segment_ids(segment_ids, q, k) or (None, None)
    _problem.check_sinks(sinks, q.shape[1])
    tensors = dict(q=q, k=k, v=v, q_segment_ids=_packed(ids[0]),
                   kv_segment_ids=_packed(ids[1]), sinks=_packed(sinks))
    return _problem.attention_struct(q, k, v, scores), tensors


def _run(name, struct, kind, tensors):
    args = kind(**{key: _at(value) for key, value in tensors.items()})
    _library.call(name, _library.context(), byref(struct), byref(args))


def attention(q: Any, k: Any, v: Any, *, causal: bool = False,
              window: _problem.Window = None, softcap: float | None = None,
              scale: float | None = None, segment_ids: Any = None,
              sinks: Any = None, return_lse: bool = False,
              layout: str = "BTNH") -> Any:
    """softmax(mask(softcap(scale q k^T))) v: see `pallas_flash.attention`,
    whose arguments and results these are."""
    struct, tensors = _problem_of(
        q, k, v, segment_ids, sinks, layout,
        dict(causal=causal, window=window, softcap=softcap, scale=scale))
    rows = tensors["q"].shape[:3]
    o = np.empty(rows + (struct.v_head_dim,), tensors["q"].dtype)
    lse = np.empty(rows, np.float32) if return_lse else None
    _run("pfl_attention_forward", struct, _library.ForwardArgs,
         dict(tensors, out_o=o, out_lse=lse))
    o = _turn(o, layout)
    return (o, _turn(lse, layout)) if return_lse else o


def attention_backward(q: Any, k: Any, v: Any, o: Any, lse: Any, d_o: Any, *,
                       d_lse: Any = None, causal: bool = False,
                       window: _problem.Window = None,
                       softcap: float | None = None,
                       scale: float | None = None, segment_ids: Any = None,
                       sinks: Any = None, layout: str = "BTNH"
                       ) -> tuple[np.ndarray, ...]:
    """(dq, dk, dv), and dsinks if there are sinks: the gradient of
    sum(o * d_o) + sum(lse * d_lse), o and lse being what `attention` gave."""
    struct, tensors = _problem_of(
        q, k, v, segment_ids, sinks, layout,
        dict(causal=causal, window=window, softcap=softcap, scale=scale))
    q, k, v = (tensors[name] for name in "qkv")
    like = q.shape[:3] + (struct.v_head_dim,)
    given = dict(o=_packed(o, layout), d_o=_packed(d_o, layout))
    for name, array in given.items():
        _problem.check_shape(name, array, like, [str(q.dtype)],
                             "that of the result, in BNTH")
    given.update(lse=_packed(lse, layout), d_lse=_packed(d_lse, layout))
    for name in ("lse", "d_lse"):
        if given[name] is not None:
            _problem.check_shape(name, given[name], like[:3], ["float32"],
                                 "a number for each row, in BNTH")
    dq, dk, dv = (np.empty_like(x) for x in (q, k, v))
    dsinks = None if sinks is None else np.empty(q.shape[1], np.float32)
    _run("pfl_attention_backward", struct, _library.BackwardArgs,
         dict(tensors, **given, out_dq=dq, out_dk=dk, out_dv=dv,
              out_dsinks=dsinks))
    gradients = tuple(_turn(x, layout) for x in (dq, dk, dv))
    return gradients if dsinks is None else gradients + (dsinks,)


def decode(q: Any, cache: Cache, lengths: Any, *,
           window: _problem.Window = None, softcap: float | None = None,
           scale: float | None = None, sinks: Any = None,
           return_lse: bool = False, layout: str = "BTNH") -> Any:
    """Attention of each sequence's last T positions over its cache: see
    `pallas_flash.decode`, whose arguments and results these are."""
    _problem.check_layout(layout)
    cache = cache.unpacked()
    q, lengths = _packed(q, layout), _packed(lengths)
    _problem.check_decode(q, cache, lengths)
    _problem.check_sinks(sinks, q.shape[1])
    scores = _problem.scoring(q.shape[3], True, window, softcap, scale)
    tensors = dict(q=q, lengths=lengths, sinks=_packed(sinks), **{
        name: _packed(getattr(cache, name))
        for name in ("k", "v", "k_scale", "v_scale", "block_table")})
    table = tensors["block_table"]
    struct = _problem.decode_struct(
        q, cache.k, cache.v, None if table is None else table.shape[1], scores)
    o = np.empty(q.shape[:3] + (struct.v_head_dim,), q.dtype)
    lse = np.empty(q.shape[:3], np.float32) if return_lse else None
    _run("pfl_attention_decode", struct, _library.DecodeArgs,
         dict(tensors, out_o=o, out_lse=lse))
    o = _turn(o, layout)
    return (o, _turn(lse, layout)) if return_lse else o


def append(cache: Cache, k: Any, v: Any, lengths: Any, *,
           layout: str = "BTNH") -> Cache:
    """Writes tokens into the cache's own arrays: see `Cache.append`."""
    _problem.check_layout(layout)
    k, v, lengths = _turn(k, layout), _turn(v, layout), np.asarray(lengths)
    whole = cache.unpacked()
    check_append(whole, k, v, lengths)
    block, slot = places(whole, lengths, k.shape[2], np)
    fits = (slot >= 0) & (slot < whole.k.shape[2])
    block, slot = block[fits], slot[fits]
    for x, into, scales in ((k, whole.k, whole.k_scale),
                            (v, whole.v, whole.v_scale)):
        if scales is not None:
            x, scale = quantise(x, np)
            scales[block, :, slot] = np.swapaxes(scale, 1, 2)[fits]
        into[block, :, slot] = np.swapaxes(x, 1, 2)[fits]
    return cache
