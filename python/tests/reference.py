"""The obvious attention in fp64, its gradients, and what a rounding may do to
them: problems are drawn from a seed, so that a failure names what repeats it.

Bounds. u is the rounding of the tensors' dtype, e = 2^-24 that of the sums'.
The kernels round P, dS and O to the dtype (bf16 at most), sums take a rounding
a term, and a score that is off by d changes P by a factor e^d, d <= (D + 5) e
|s|. Each result is a sum of products; its bound is a factor times the same sum
of absolute values.
"""
from __future__ import annotations

import dataclasses

import ml_dtypes  # noqa: F401
import numpy as np

U = {"float32": 2.0 ** -24, "bfloat16": 2.0 ** -9, "float16": 2.0 ** -12}
E = 2.0 ** -24


@dataclasses.dataclass
class Case:
    """Tensors in BNTH, as fp64 that are numbers of the dtype."""
    dtype: str
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    d_o: np.ndarray
    d_lse: np.ndarray
    options: dict
    segment_ids: tuple | None
    sinks: np.ndarray | None

    def inputs(self):
        """q, k, v, d_o of the dtype."""
        return [x.astype(self.dtype) for x in (self.q, self.k, self.v,
                                               self.d_o)]

    def keywords(self):
        return dict(self.options, segment_ids=self.segment_ids,
                    sinks=None if self.sinks is None
                    else self.sinks.astype("float32"))


def draw(seed: int, dtype: str | None = None, **given) -> Case:
    """A random problem; `given` fixes causal, window, softcap, scale, segments,
    sinks, sizes (B, N, K, T, S, H, Hv)."""
    r = np.random.default_rng(seed)

    def pick(name, *choices):
        chosen = choices[r.integers(len(choices))]
        return given.get(name, chosen)

    dtype = dtype or ["float32", "bfloat16", "float16"][r.integers(3)]
    heads = pick("heads", (4, 4), (4, 2), (6, 1))
    B, N, K, T, S, H, Hv = pick("sizes", *[
        (b, *heads, t, s, h, hv) for b, t, s, h, hv in [
            (2, 33, 33, 16, 16), (1, 65, 130, 32, 32), (2, 40, 17, 24, 8),
            (1, 1, 70, 64, 64), (2, 128, 128, 8, 40)]])
    options = dict(
        causal=pick("causal", False, True),
        window=pick("window", None, None, (20, 5), (7, None), 12),
        softcap=pick("softcap", None, None, 3.0),
        scale=pick("scale", None, None, 0.3, -0.7))

    def normal(*shape):
        return r.standard_normal(shape).astype(dtype).astype(np.float64)

    q, k, v = normal(B, N, T, H), normal(B, K, S, H), normal(B, K, S, Hv)
    segments = None
    if pick("segments", False, True):
        segments = (np.sort(r.integers(0, 3, (B, T)).astype(np.int32)),
                    np.sort(r.integers(0, 3, (B, S)).astype(np.int32)))
    sinks = None
    if pick("sinks", False, True):
        sinks = r.standard_normal(N).astype(np.float32).astype(np.float64)
    return Case(dtype, q, k, v, normal(B, N, T, Hv),
                r.standard_normal((B, N, T)).astype(np.float32), options,
                segments, sinks)


def mask(case: Case) -> np.ndarray:
    """[B, 1, T, S]: which key a query sees."""
    T, S = case.q.shape[2], case.k.shape[2]
    p, j = np.arange(T)[:, None] + S - T, np.arange(S)[None]
    seen = np.ones((T, S), bool)
    if case.options["causal"]:
        seen &= j <= p
    window = case.options["window"]
    if window is not None:
        left, right = window if isinstance(window, tuple) else (window, window)
        if left is not None:
            seen &= p - left <= j
        if right is not None:
            seen &= j <= p + right
    seen = np.broadcast_to(seen, (case.q.shape[0], 1, T, S))
    if case.segment_ids is not None:
        q_ids, kv_ids = case.segment_ids
        seen = seen & (q_ids[:, None, :, None] == kv_ids[:, None, None, :])
    return seen


@dataclasses.dataclass
class Result:
    """Results and their bounds by name."""
    values: dict
    bounds: dict


def solve(case: Case, d_lse: bool = True) -> Result:
    """o, lse and the gradients of sum(o d_o) + sum(lse d_lse)."""
    group = case.q.shape[1] // case.k.shape[1]
    H = case.q.shape[3]
    scale = case.options["scale"]
    scale = H ** -0.5 if scale is None else scale
    q = case.q
    k, v = (np.repeat(x, group, axis=1) for x in (case.k, case.v))
    seen = mask(case)
    s = scale * np.einsum("bntd,bnsd->bnts", q, k)
    sizes = abs(scale) * np.einsum("bntd,bnsd->bnts", abs(q), abs(k))
    slope = np.ones_like(s)
    if case.options["softcap"]:
        tangent = np.tanh(s / case.options["softcap"])
        s, slope = case.options["softcap"] * tangent, 1 - tangent ** 2
    s = np.where(seen, s, -np.inf)
    top = s.max(-1, initial=-np.inf, keepdims=True)
    if case.sinks is not None:
        top = np.maximum(top, case.sinks[:, None, None])
    top = np.where(np.isfinite(top), top, 0)
    p = np.exp(s - top)
    total = p.sum(-1, keepdims=True)
    some = total > 0
    sink = 0 if case.sinks is None else np.exp(case.sinks[:, None, None] - top)
    total = np.where(some, total + sink, 1)
    p = p / total
    lse = np.where(some, top + np.log(total), -np.inf)[..., 0]
    o = np.einsum("bnts,bnsd->bntd", p, v)

    u = U[case.dtype]
    wrong = sizes.max(initial=0) * (H + 5) * E + (s.shape[-1] + 40) * E
    near = 2 * wrong + 3 * u
    d_o = case.d_o
    given = case.d_lse.astype(np.float64) if d_lse else np.zeros_like(lse)
    delta = np.einsum("bntd,bntd->bnt", d_o, o) - np.where(some[..., 0], given,
                                                           0)
    dp = np.einsum("bntd,bnsd->bnts", d_o, v)
    ds = p * (dp - delta[..., None]) * slope * scale
    most = p * abs(scale) * (
        np.einsum("bntd,bnsd->bnts", abs(d_o), abs(v))
        + np.einsum("bntd,bntd->bnt", abs(d_o), np.einsum(
            "bnts,bnsd->bntd", p, abs(v)))[..., None]
        + np.abs(given)[..., None] * some)

    def fold(x):
        """Sums over the query heads that share a key-value head."""
        return x.reshape(x.shape[0], -1, group, *x.shape[2:]).sum(2)

    def sums(weights, from_q, from_k, from_o):
        return dict(dq=np.einsum("bnts,bnsd->bntd", weights[0], from_k),
                    dk=fold(np.einsum("bnts,bntd->bnsd", weights[0], from_q)),
                    dv=fold(np.einsum("bnts,bntd->bnsd", weights[1], from_o)))

    values = dict(o=o, lse=lse, **sums((ds, p), q, k, d_o))
    largest = dict(o=np.einsum("bnts,bnsd->bntd", p, abs(v)),
                   **sums((most, p), abs(q), abs(k), abs(d_o)))
    rows = group * case.q.shape[2]
    factor = 2 * near + (rows + H + 40) * E
    bounds = {name: x * factor + 1e-30 for name, x in largest.items()}
    bounds["lse"] = 2 * wrong + 4 * E * np.where(some[..., 0], abs(lse), 0)
    if case.sinks is not None:
        weight = np.where(some, sink / total, 0)[..., 0]
        values["dsinks"] = -(weight * delta).sum((0, 2))
        bounds["dsinks"] = factor * (weight * (np.einsum(
            "bntd,bntd->bnt", abs(d_o), largest["o"]) + abs(given))).sum((0, 2))
    if case.dtype == "float16":  # which is subnormal below 2^-14
        for name in ("o", "dq", "dk", "dv"):
            bounds[name] = bounds[name] + 2.0 ** -24
    return Result(values, bounds)


def check(name: str, got, result: Result) -> None:
    """A result within its bound, infinities alike."""
    got = np.asarray(got).astype(np.float64)
    want, bound = result.values[name], result.bounds[name]
    assert got.shape == want.shape, (name, got.shape, want.shape)
    with np.errstate(invalid="ignore"):
        off = np.where(got == want, 0, abs(got - want))
    worst = np.unravel_index(np.argmax(off - bound), off.shape)
    assert (off <= bound).all(), (
        f"{name}{list(map(int, worst))} is {got[worst]}, not {want[worst]}: "
        f"{off[worst]:.3g} apart, bound "
        f"{np.broadcast_to(bound, off.shape)[worst]:.3g}")
