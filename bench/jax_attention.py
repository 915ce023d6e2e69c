#!/usr/bin/env python3
"""Attention under JAX's jit on the CPU beside the C library's own time and
jax.nn.dot_product_attention, at S = 2048, forward and backward.

    python bench/jax_attention.py [--dtype float32|bfloat16] [--rounds N]

Needs pallas-flash and jax installed. The three are measured in turns, so that
what else the machine does falls on all; each time is the median of the rounds.
Forward is o alone; backward is the gradient of q, k and v with o and lse given,
for jax.nn (whose residuals are its own) forward and backward less forward.
"""
from __future__ import annotations

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

import pallas_flash.numpy as plain
from pallas_flash import attention
from pallas_flash import _attention, _problem

B, N, S, H = 1, 8, 2048, 64


def timed(call) -> float:
    """Milliseconds of one call, its results being there."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return 1e3 * (time.perf_counter() - start)


def in_turns(calls: dict, rounds: int) -> dict[str, float]:
    """The median of each call, the first of all being thrown away."""
    times = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            times[name].append(timed(call))
    return {name: statistics.median(values[1:])
            for name, values in times.items()}


def cases(dtype: str, causal: bool) -> dict[str, dict]:
    """{direction: {who: call}} of tensors that are made once, in BNTH and, for
    jax.nn, in BTNH."""
    r = np.random.default_rng(1)
    host = [r.standard_normal((B, N, S, H), dtype=np.float32).astype(dtype)
            for _ in range(4)]
    o, lse = plain.attention(*host[:3], causal=causal, return_lse=True,
                             layout="BNTH")
    given = [jnp.asarray(x) for x in (*host[:3], o, lse, host[3])]
    turned = [jnp.swapaxes(x, 1, 2) for x in given[:3] + given[5:]]
    call = _attention.Call(_problem.scoring(H, causal, None, None, None))
    ours = jax.jit(lambda *a: attention(*a, causal=causal, layout="BNTH"))
    btnh = jax.jit(lambda *a: attention(*a, causal=causal))
    back = jax.jit(lambda *a: _attention.backward_p.bind(*a, call=call))
    theirs = jax.jit(lambda *a: jax.nn.dot_product_attention(
        *a, is_causal=causal))
    both = jax.jit(lambda q, k, v, d: jax.vjp(theirs, q, k, v)[1](d))
    return dict(
        forward=dict(
            library=lambda: plain.attention(*host[:3], causal=causal,
                                            layout="BNTH"),
            jit=lambda: ours(*given[:3]), btnh=lambda: btnh(*turned[:3]),
            jax_nn=lambda: theirs(*turned[:3])),
        backward=dict(
            library=lambda: plain.attention_backward(
                *host[:3], o, lse, host[3], causal=causal, layout="BNTH"),
            jit=lambda: back(*given),
            jax_forward=lambda: theirs(*turned[:3]),
            jax_nn=lambda: both(*turned)))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--dtype", default="float32",
                         choices=["float32", "bfloat16"])
    options.add_argument("--rounds", type=int, default=9)
    given = options.parse_args()
    print(f"B {B}, N {N}, S {S}, H {H}, {given.dtype}; ms, median of "
          f"{given.rounds}; jax {jax.__version__}")
    print(f"{'':18}{'library':>9}{'jit':>9}{'':>8}{'BTNH':>9}{'jax.nn':>9}")
    for causal in (False, True):
        for direction, calls in cases(given.dtype, causal).items():
            t = in_turns(calls, given.rounds)
            theirs = t["jax_nn"] - t.get("jax_forward", 0)
            btnh = f"{t['btnh']:9.2f}" if "btnh" in t else f"{'':9}"
            print(f"{direction:9}{'causal' if causal else 'full':9}"
                  f"{t['library']:9.2f}{t['jit']:9.2f}"
                  f"{t['jit'] / t['library']:7.2f}x{btnh}{theirs:9.2f}"
                  f"{theirs / t['jit']:7.2f}x")


if __name__ == "__main__":
    main()
