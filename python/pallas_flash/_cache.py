"""The KV cache of `decode`: a value of arrays, JAX's or NumPy's."""
from __future__ import annotations

import dataclasses
from typing import Any

from pallas_flash import _problem


@dataclasses.dataclass(frozen=True)
class Cache:
    """Keys and values of the tokens that each sequence has so far.

    A pytree of its arrays, so that it goes through jit, scan, vmap and
    donation.

    k: [B, Hkv, Smax, D] of q's dtype, or int8. Paged: [pages, Hkv, page, D].
    v: [B, Hkv, Smax, Dv], or [pages, Hkv, page, Dv], of k's dtype.
    pack: tokens that lie side by side in a row: k and v are the same elements
        as [.., Smax / pack, pack * D] then. `zeros` chooses it so that rows of
        heads that 128 divides into are 128 long, as a TPU's kernel reads them:
        of others XLA would make a copy in every step.
    k_scale, v_scale: f32, k's shape without D, with int8 alone: a token's key
        is k_scale times its integers.
    block_table: int32 [B, columns], paged alone: the page that has the tokens
        i * page and on of a sequence.
    """
    k: Any
    v: Any
    k_scale: Any = None
    v_scale: Any = None
    block_table: Any = None
    pack: int = 1

    def unpacked(self) -> "Cache":
        """The same with pack = 1; of NumPy's arrays a view."""
        if self.pack == 1:
            return self

        def whole(x):
            return x.reshape(x.shape[:2] + (x.shape[2] * self.pack,
                                            x.shape[3] // self.pack))

        return dataclasses.replace(self, k=whole(self.k), v=whole(self.v),
                                   pack=1)

    @property
    def length(self) -> int:
        """Tokens that a sequence has room for."""
        if self.block_table is None:
            return self.k.shape[2] * self.pack
        return self.block_table.shape[1] * self.k.shape[2] * self.pack

    @staticmethod
    def zeros(batch: int, kv_heads: int, length: int, head_dim: int,
              dtype: Any = "bfloat16", *, v_head_dim: int | None = None,
              array_module: Any = None) -> "Cache":
        """An empty contiguous cache with room for `length` tokens a sequence;
        array_module makes its arrays: jax.numpy unless another is given."""
        if array_module is None:
            import jax.numpy as array_module
        where = (batch, kv_heads, length)
        dtype = array_module.dtype(dtype)
        v_head_dim = v_head_dim or head_dim
        pack = 128 // head_dim if 0 < head_dim <= 128 else 1
        if pack * head_dim != 128 or head_dim != v_head_dim or length % pack:
            pack = 1

        def empty(dim):
            return array_module.zeros(
                where[:2] + (length // pack, pack * dim), dtype)

        def scale():
            return (array_module.zeros(where, "float32")
                    if str(dtype) == "int8" else None)

        cache = Cache(empty(head_dim), empty(v_head_dim), scale(), scale(),
                      pack=pack)
        cache.unpacked().check()
        return cache

    def check(self) -> None:
        """TypeError, ValueError: arrays that do not go together, unpacked."""
        k, v = self.k, self.v
        _problem.check_array("the cache's k", k, _problem.CACHES, [4])
        _problem.check_array("the cache's v", v, [str(k.dtype)], [4])
        if k.shape[:3] != v.shape[:3]:
            raise ValueError(f"the cache's k has shape {tuple(k.shape)} and v "
                             f"{tuple(v.shape)}: all but the last must agree")
        for name, scale in (("k_scale", self.k_scale),
                            ("v_scale", self.v_scale)):
            if (scale is None) == (str(k.dtype) == "int8"):
                raise ValueError(f"the cache's {name} must be given with int8, "
                                 f"and not with {k.dtype}")
            if scale is not None:
                _problem.check_shape(f"the cache's {name}", scale,
                                     tuple(k.shape[:3]), ["float32"],
                                     "k's without its last dimension")
        if self.block_table is not None:
            _problem.check_array("block_table", self.block_table, ["int32"],
                                 [2])

    def append(self, k: Any, v: Any, lengths: Any, *,
               layout: str = "BTNH") -> "Cache":
        """The cache with T more tokens a sequence, which then has lengths + T.

        k, v: [B, T, Hkv, D] and [B, T, Hkv, Dv], or as `layout` says; for an
            int8 cache they are quantised, each token and head by its largest
            element.
        lengths: int32 [B], tokens before. Those beyond the cache are dropped.

        JAX's arrays stay as they are, unless they are donated; NumPy's are
        written in place.
        """
        import numpy
        if isinstance(self.k, numpy.ndarray):
            from pallas_flash.numpy import append
        else:
            from pallas_flash._decode import append
        return append(self, k, v, lengths, layout=layout)


def check_append(cache: Cache, k: Any, v: Any, lengths: Any) -> None:
    """k and v in BNTH; an unpacked cache."""
    cache.check()
    for name, array, like in (("k", k, cache.k), ("v", v, cache.v)):
        _problem.check_array(name, array, _problem.FLOATS, [4])
        heads, dim = like.shape[1], like.shape[3]
        if (array.shape[1], array.shape[3]) != (heads, dim):
            raise ValueError(f"{name} has {array.shape[1]} heads of "
                             f"{array.shape[3]}: the cache has {heads} of "
                             f"{dim}")
        if array.dtype != like.dtype and str(like.dtype) != "int8":
            raise TypeError(f"{name} has dtype {array.dtype}: the cache has "
                            f"{like.dtype}")
    if k.shape[:3] != v.shape[:3]:
        raise ValueError(f"k has shape {tuple(k.shape)} and v "
                         f"{tuple(v.shape)}: all but the last dimension must "
                         "agree")
    table = cache.block_table
    batch = cache.k.shape[0] if table is None else table.shape[0]
    if k.shape[0] != batch:
        raise ValueError(f"k has a batch of {k.shape[0]}: the cache has "
                         f"{batch}")
    _problem.check_shape("lengths", lengths, (batch,), ["int32"],
                         "one for each sequence")


def quantise(x: Any, module: Any) -> tuple[Any, Any]:
    """(int8 [..., D], f32 scale [...]) with x = scale * integers, by rows."""
    x = x.astype("float32")
    scale = module.max(module.abs(x), axis=-1) / 127
    safe = module.where(scale > 0, scale, 1)
    return module.round(x / safe[..., None]).astype("int8"), scale


def places(cache: Cache, lengths: Any, count: int, module: Any
           ) -> tuple[Any, Any]:
    """Where `count` tokens after `lengths` go: (index of dimension 0, of
    dimension 2), [B, T] each; out of range where there is no room."""
    position = lengths[:, None] + module.arange(count, dtype="int32")[None]
    if cache.block_table is None:
        rows = module.arange(len(lengths), dtype="int32")[:, None]
        return module.broadcast_to(rows, position.shape), position
    page = cache.k.shape[2]
    column = module.minimum(position // page, cache.block_table.shape[1] - 1)
    block = module.take_along_axis(cache.block_table, column, axis=1)
    slot = module.where(position < cache.length, position % page, page)
    return block, slot
