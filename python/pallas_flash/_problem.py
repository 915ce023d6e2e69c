"""What attention and decode are asked, checked before anything is compiled.

Used alike for JAX's and NumPy's arrays: only `shape` and `dtype` are looked at.
TypeError: a dtype, or what is no array. ValueError: a shape or a number.
"""
from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Sequence
from typing import Any

from pallas_flash import _library

HEAD_DIM_MAX = 512  # PFL_HEAD_DIM_MAX
LAYOUTS = ("BTNH", "BNTH")
FLOATS = ("float32", "bfloat16", "float16")
CACHES = FLOATS + ("int8",)

Window = int | tuple[int | None, int | None] | None


@dataclasses.dataclass(frozen=True)
class Scoring:
    """pfl_scoring with every default resolved."""
    scale: float
    softcap: float
    causal: bool
    windowed: bool
    window_left: int
    window_right: int

    def struct(self) -> _library.Scoring:
        return _library.Scoring(**dataclasses.asdict(self))


def _number(name: str, value: Any) -> float:
    """A Python or NumPy number: what a kernel is compiled for is no tracer."""
    try:
        number = float(value)
    except Exception as error:
        raise TypeError(f"{name} is {value!r}: must be a number known when the "
                        "call is traced") from error
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}: must be finite")
    return number


def _width(name: str, value: Any) -> int:
    if value is None:
        return -1
    if not isinstance(value, numbers.Integral) or value < -1:
        raise ValueError(f"{name} is {value!r}: must be a number of keys, at "
                         "least 0, or None (or -1) for an open side")
    return int(value)


def _sides(window: Window) -> tuple[int, int] | None:
    if window is None:
        return None
    if isinstance(window, numbers.Integral):
        window = (window, window)
    if not isinstance(window, Sequence) or len(window) != 2:
        raise ValueError(f"window is {window!r}: must be None, a number of "
                         "keys or (left, right)")
    return _width("window's left", window[0]), _width("window's right",
                                                      window[1])


def scoring(head_dim: int, causal: bool, window: Window,
            softcap: float | None, scale: float | None) -> Scoring:
    """Resolves what `attention` is given. Units: scores are q k^T times scale;
    softcap is in those; window is in keys."""
    sides = _sides(window)
    cap = 0.0 if softcap is None else _number("softcap", softcap)
    if softcap is not None and cap <= 0:
        raise ValueError(f"softcap is {cap}: must be greater than 0, or None")
    factor = head_dim ** -0.5 if scale is None else _number("scale", scale)
    if factor == 0:
        raise ValueError("scale is 0: must not be; None means 1/sqrt(head_dim)")
    left, right = sides or (0, 0)
    return Scoring(factor, cap, bool(causal), sides is not None, left, right)


def check_layout(layout: str) -> None:
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}: must be 'BTNH' or 'BNTH'")


def check_array(name: str, array: Any, dtypes: Sequence[str],
                ranks: Sequence[int]) -> None:
    if not hasattr(array, "shape") or not hasattr(array, "dtype"):
        raise TypeError(f"{name} is {type(array).__name__}: must be an array")
    if str(array.dtype) not in dtypes:
        raise TypeError(f"{name} has dtype {array.dtype}: must be "
                        + " or ".join(dtypes))
    if len(array.shape) not in ranks:
        raise ValueError(f"{name} has shape {tuple(array.shape)}: must have "
                         + " or ".join(map(str, ranks)) + " dimensions")


def check_shape(name: str, array: Any, shape: tuple[int, ...],
                dtypes: Sequence[str], why: str) -> None:
    check_array(name, array, dtypes, [len(shape)])
    if tuple(array.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(array.shape)}: must be "
                         f"{shape}, {why}")


def _check_dim(name: str, dim: int) -> None:
    if not 1 <= dim <= HEAD_DIM_MAX:
        raise ValueError(f"{name} has {dim} elements a head: must be 1 to "
                         f"{HEAD_DIM_MAX}")


def _check_heads(q_heads: int, kv_heads: int) -> None:
    if kv_heads == 0 or q_heads == 0 or q_heads % kv_heads:
        raise ValueError(f"q has {q_heads} heads and k has {kv_heads}: q's "
                         "must be a multiple of k's")


def check_attention(q: Any, k: Any, v: Any) -> None:
    """q, k, v in BNTH: the dtype and the sizes that they share."""
    for name, array in (("q", q), ("k", k), ("v", v)):
        check_array(name, array, FLOATS, [4])
    if not q.dtype == k.dtype == v.dtype:
        raise TypeError(f"q, k and v have dtypes {q.dtype}, {k.dtype} and "
                        f"{v.dtype}: must be the same")
    if not q.shape[0] == k.shape[0] == v.shape[0]:
        raise ValueError(f"q, k and v have batches of {q.shape[0]}, "
                         f"{k.shape[0]} and {v.shape[0]}: must be the same")
    _check_heads(q.shape[1], k.shape[1])
    for what, place in (("heads", 1), ("keys", 2)):
        if k.shape[place] != v.shape[place]:
            raise ValueError(f"k has {k.shape[place]} {what} and v "
                             f"{v.shape[place]}: must be the same")
    if q.shape[3] != k.shape[3]:
        raise ValueError(f"q has {q.shape[3]} elements a head and k "
                         f"{k.shape[3]}: must be the same")
    _check_dim("q", q.shape[3])
    _check_dim("v", v.shape[3])


def split_segment_ids(ids: Any, q: Any, k: Any) -> tuple[Any, Any] | None:
    """(q's, k's) of what the caller gave; q and k in BNTH."""
    if ids is None:
        return None
    pair = ids if isinstance(ids, (tuple, list)) else (ids, ids)
    if len(pair) != 2:
        raise ValueError(f"segment_ids has {len(pair)} parts: must be one "
                         "array or (of q, of k)")
    for name, array, like in (("q", pair[0], q), ("k", pair[1], k)):
        check_shape(f"segment_ids of {name}", array,
                    (like.shape[0], like.shape[2]), ["int32"],
                    f"batch and length of {name}")
    return pair[0], pair[1]


def check_sinks(sinks: Any, q_heads: int) -> None:
    if sinks is not None:
        check_shape("sinks", sinks, (q_heads,), ["float32"],
                    "one for each head of q")


def attention_struct(q: Any, k: Any, v: Any,
                     scores: Scoring) -> _library.Attention:
    """q, k, v in BNTH."""
    return _library.Attention(
        batch=q.shape[0], q_heads=q.shape[1], kv_heads=k.shape[1],
        q_length=q.shape[2], kv_length=k.shape[2], head_dim=q.shape[3],
        v_head_dim=v.shape[3], dtype=_library.DTYPES[str(q.dtype)],
        scoring=scores.struct())


def check_decode(q: Any, cache: Any, lengths: Any) -> None:
    """q in BNTH; cache as _cache.Cache, unpacked."""
    check_array("q", q, FLOATS, [4])
    cache.check()
    if str(cache.k.dtype) not in (str(q.dtype), "int8"):
        raise TypeError(f"the cache has dtype {cache.k.dtype} and q {q.dtype}: "
                        "the cache's must be q's, or int8")
    batch = q.shape[0]
    if cache.block_table is None and cache.k.shape[0] != batch:
        raise ValueError(f"q has a batch of {batch} and the cache of "
                         f"{cache.k.shape[0]}: must be the same")
    if cache.block_table is not None and cache.block_table.shape[0] != batch:
        raise ValueError(f"block_table has {cache.block_table.shape[0]} rows: "
                         f"must be {batch}, q's batch")
    _check_heads(q.shape[1], cache.k.shape[1])
    if q.shape[2] < 1:
        raise ValueError("q has no position: must have at least 1")
    if q.shape[3] != cache.k.shape[3]:
        raise ValueError(f"q has {q.shape[3]} elements a head and the cache's "
                         f"k {cache.k.shape[3]}: must be the same")
    _check_dim("q", q.shape[3])
    _check_dim("the cache's v", cache.v.shape[3])
    check_shape("lengths", lengths, (batch,), ["int32"],
                "one for each sequence")


def decode_struct(q: Any, k: Any, v: Any, pages: int | None,
                  scores: Scoring) -> _library.Decode:
    """q in BNTH; k, v a cache's; pages: columns of a block_table, or None."""
    paged = pages is not None
    return _library.Decode(
        batch=q.shape[0], q_heads=q.shape[1], kv_heads=k.shape[1],
        q_length=q.shape[2], head_dim=q.shape[3], v_head_dim=v.shape[3],
        cache_length=0 if paged else k.shape[2],
        page_count=k.shape[0] if paged else 0,
        page_length=k.shape[2] if paged else 0,
        pages_per_sequence=pages or 0,
        dtype=_library.DTYPES[str(q.dtype)],
        cache_dtype=_library.DTYPES[str(k.dtype)], scoring=scores.struct())
