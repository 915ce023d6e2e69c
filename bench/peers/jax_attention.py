#!/usr/bin/env python3
"""JAX as a peer of `pflash bench`: jax.nn.dot_product_attention under jit, and
its gradients, on JAX's default device - the CPU, or a GPU where JAX sees one.

Softcap, sinks and int8 caches are not in that function, and skipped.
"""
import peer_lines

peer_lines.use_threads()
try:
    import jax
    import jax.numpy as jnp
    import numpy as np
except ImportError as error:
    peer_lines.refuse(f"{error}; pip install jax")

DTYPES = {"F32": np.float32, "BF16": jnp.bfloat16, "F16": np.float16,
          "I8": np.int8}


def attention(cell):
    """Of [B, heads, length, D]; jax.nn takes [B, length, heads, D]."""
    window = cell["window"]

    def attend(q, k, v):
        q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
        o = jax.nn.dot_product_attention(
            q, k, v, is_causal=cell["causal"],
            local_window_size=(window - 1, 0) if window else None)
        return o.swapaxes(1, 2)
    return attend


class Cell:
    def __init__(self, cell, inputs):
        for feature in "softcap", "sinks":
            if cell.get(feature):
                raise peer_lines.Skip(
                    f"no {feature} in jax.nn.dot_product_attention")
        if cell["cache_dtype"] != cell["dtype"]:
            raise peer_lines.Skip(f"no {cell['cache_dtype']} cache in "
                                  "jax.nn.dot_product_attention")
        if cell["window"] and cell["op"] == "decode":
            raise peer_lines.Skip("a window counts from the first query there: "
                                  "of no use to decode")
        attend = attention(cell)
        arrays = [jnp.asarray(inputs[name]) for name in "qkv"]
        if cell["op"] == "backward":
            # the forward pass and what it keeps are made once
            _, pullback = jax.vjp(attend, *arrays)
            d_o = jnp.asarray(inputs["do"])
            self.names = ("dq", "dk", "dv")
            self.function = jax.jit(lambda pull, d: pull(d))
            self.copies = [(pullback, d_o)]
        else:
            self.names = ("o",)
            self.function = jax.jit(lambda *a: (attend(*a),))
            # walks over copies of the cache, so that none is found in a cache
            self.copies = [(arrays[0], arrays[1] + 0, arrays[2] + 0)
                           for _ in range(cell["copies"])]
        jax.block_until_ready(self.copies)
        self.next = 0

    def run(self):
        arguments = self.copies[self.next]
        self.next = (self.next + 1) % len(self.copies)
        self.results = jax.block_until_ready(self.function(*arguments))

    def outputs(self):
        return {name: np.asarray(a) for name, a in zip(self.names,
                                                       self.results)}


device = jax.devices()[0]
peer_lines.serve(Cell, f"jax {jax.__version__}", DTYPES,
                 "" if device.platform == "cpu" else device.device_kind)
