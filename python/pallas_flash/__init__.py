"""Attention for the Google TPU v5e and the CPU, from the C library
Pallas-Flash.

    from pallas_flash import attention
    o = attention(q, k, v, causal=True)           # inside jit, grad, shard_map

`attention`, `decode` and `Cache` are for JAX arrays and need JAX; the same
calls on NumPy arrays are in `pallas_flash.numpy`, which does not. docs/jax.md
has the whole.
"""
import importlib
from typing import TYPE_CHECKING, Any

from pallas_flash._library import VERSION as __version__

if TYPE_CHECKING:
    from pallas_flash._attention import attention
    from pallas_flash._cache import Cache
    from pallas_flash._decode import decode

__all__ = ["Cache", "attention", "decode", "__version__"]

_HOMES = {"attention": "_attention", "decode": "_decode", "Cache": "_decode"}


def __getattr__(name: str) -> Any:
    """JAX is imported when it is first needed."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pallas_flash' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"pallas_flash.{_HOMES[name]}"),
                    name)
    globals()[name] = value
    return value
