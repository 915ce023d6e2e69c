"""`attention`: forward and backward as two primitives and a custom VJP."""
from __future__ import annotations

import dataclasses
import functools
from typing import Any

from pallas_flash import _jax, _problem, _tpu

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name


# ---- Primitives --------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Call:
    """What a kernel is compiled for besides the shapes of its operands, which
    are q k v, of backward o lse d_o too, and those that the flags name."""
    scores: _problem.Scoring
    lse: bool = False  # forward: wanted
    segment_ids: bool = False
    sinks: bool = False
    d_lse: bool = False

    def attributes(self) -> dict[str, Any]:
        s = self.scores
        return dict(
            scale=np.float64(s.scale), softcap=np.float64(s.softcap),
            causal=np.int64(s.causal), windowed=np.int64(s.windowed),
            window_left=np.int64(s.window_left),
            window_right=np.int64(s.window_right),
            segment_ids=np.int64(self.segment_ids), sinks=np.int64(self.sinks),
            d_lse=np.int64(self.d_lse))

    def options(self) -> list[str]:
        """The names of the further operands."""
        return (["q_segment_ids", "kv_segment_ids"] * self.segment_ids
                + ["sinks"] * self.sinks + ["dlse"] * self.d_lse)


def _forward_shapes(q, k, v, *_, call):
    rows = q.shape[:3]
    return ([(rows + v.shape[3:], q.dtype)]
            + [(rows, "float32")] * call.lse)


def _backward_shapes(q, k, v, *_, call):
    return ([(x.shape, x.dtype) for x in (q, k, v)]
            + [(q.shape[1:2], "float32")] * call.sinks)


def _forward_names(call):
    return ["q", "k", "v"] + call.options(), ["o"] + ["lse"] * call.lse


def _backward_names(call):
    return (["q", "k", "v", "o", "lse", "do"] + call.options(),
            ["dq", "dk", "dv"] + ["dsinks"] * call.sinks)


def _program(op, target, q, k, v, *_, call):
    return _tpu.program(
        op, target, _problem.attention_struct(q, k, v, call.scores),
        lse=call.lse, segment_ids=call.segment_ids, sinks=call.sinks,
        d_lse=call.d_lse)


def _batch(which, names_of, operands, dims, *, call):
    """vmap: the new axis is taken together with the batch. Sinks belong to
    heads and their gradient is summed over the batch: with them it goes to the
    heads, which segment ids lack."""
    p = {"forward": forward_p, "backward": backward_p}[which]
    size = next(x.shape[d] for x, d in zip(operands, dims) if d is not None)
    if call.sinks and call.segment_ids:
        return _jax.one_by_one(p, operands, dims, call=call)
    names, results = names_of(call)
    into = {name: 0 if name in ("sinks", "dsinks") else int(call.sinks)
            for name in names + results}
    folded = [_jax.fold(x, d, size, into[name])
              for x, d, name in zip(operands, dims, names)]
    made = p.bind(*folded, call=call)
    return ([_jax.unfold(x, size, into[name])
             for x, name in zip(made, results)],
            [into[name] for name in results])


forward_p = _jax.primitive(
    "forward", _forward_shapes,
    functools.partial(_batch, "forward", _forward_names),
    _jax.tpu_rule(functools.partial(_program, "forward"), _forward_names,
                  _forward_shapes))
backward_p = _jax.primitive(
    "backward", _backward_shapes,
    functools.partial(_batch, "backward", _backward_names),
    _jax.tpu_rule(functools.partial(_program, "backward"), _backward_names,
                  _backward_shapes))


# ---- The custom VJP ----------------------------------------------------------
#
# All in BNTH. ids is () or (of q, of k); sinks is () or (sinks,).

def _forward(call: Call, q, k, v, ids, sinks):
    return forward_p.bind(q, k, v, *ids, *sinks, call=call)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(call: Call, q, k, v, ids, sinks):
    """o, or (o, lse) if call.lse."""
    made = _forward(call, q, k, v, ids, sinks)
    return tuple(made) if call.lse else made[0]


def _attend_forward(call: Call, q, k, v, ids, sinks):
    o, lse = _forward(dataclasses.replace(call, lse=True), q, k, v, ids, sinks)
    o = checkpoint_name(o, "pallas_flash_o")
    lse = checkpoint_name(lse, "pallas_flash_lse")
    return (o, lse) if call.lse else o, (q, k, v, o, lse, ids, sinks)


def _attend_backward(call: Call, kept, gradients):
    q, k, v, o, lse, ids, sinks = kept
    d_o, d_lse = gradients if call.lse else (gradients, None)
    further = () if d_lse is None else (d_lse,)
    dq, dk, dv, *dsinks = backward_p.bind(
        q, k, v, o, lse, d_o, *ids, *sinks, *further,
        call=dataclasses.replace(call, lse=False, d_lse=call.lse))
    return dq, dk, dv, (None,) * len(ids), tuple(dsinks)


_attend.defvjp(_attend_forward, _attend_backward)


# ---- The call ----------------------------------------------------------------

def to_bnth(x: Any, layout: str) -> Any:
    """BNTH of `layout`, and back; likewise BNT of lse."""
    return jnp.swapaxes(x, 1, 2) if layout == "BTNH" else x


def attention(q: Any, k: Any, v: Any, *, causal: bool = False,
              window: _problem.Window = None, softcap: float | None = None,
              scale: float | None = None, segment_ids: Any = None,
              sinks: Any = None, return_lse: bool = False,
              layout: str = "BTNH") -> Any:
    """o = softmax(mask(softcap(scale q k^T))) v, and its gradient, by
    FlashAttention-2 (Dao, 2023, arXiv 2307.08691): no score matrix in memory.

    Args:
      q: [B, T, N, H], f32, bf16 or f16. Without B: a batch of one.
      k: [B, S, K, H] of q's dtype, N a multiple of K: query head n reads head
        n // (N // K).
      v: [B, S, K, Hv] of q's dtype.
      causal: key j is seen by query i if j <= i + S - T: the queries are the
        last positions. (jax.nn.dot_product_attention takes them for the first;
        it is the same where T = S.)
      window: (left, right): key j is seen by the query at position p = i + S -
        T if p - left <= j <= p + right, in keys; None leaves a side open; a
        number is both sides. Together with causal, both must let it through.
      softcap: scores s become softcap tanh(s / softcap); None: they do not.
      scale: of the scores; None: 1/sqrt(H). A number, not an array.
      segment_ids: int32 [B, S], or a pair of [B, T] of q and [B, S] of k: a
        query sees keys of its own id.
      sinks: f32 [N]: a score that each head adds to the softmax's denominator
        and to no value.
      return_lse: give (o, lse). lse is differentiable, so that results for
        parts of the keys may be merged by it.
      layout: of q, k, v and o: "BTNH" as above, which jax.nn has, or "BNTH",
        which the kernels have: nothing is transposed then.

    Returns:
      o: [B, T, N, Hv] of q's dtype; sums are in f32. And if return_lse, lse:
      f32 [B, T, N] ([B, N, T] in BNTH), the natural logarithm of the
      denominator, sinks included. A row that sees no key has o = 0 and lse =
      -inf, and no gradient.

    Differentiable in q, k, v and sinks, in reverse mode, once. Under
    jax.checkpoint, o and lse are called pallas_flash_o and pallas_flash_lse.

    Raises:
      TypeError: an unsupported dtype, dtypes that differ, no array.
      ValueError: shapes that do not go together, a number out of range; for a
        TPU, when it is lowered: a problem that there is no kernel for.
    """
    _problem.check_layout(layout)
    single = getattr(q, "ndim", 0) == 3
    if single:
        q, k, v = (x[None] if getattr(x, "ndim", 0) == 3 else x
                   for x in (q, k, v))
        ids = segment_ids
        if ids is not None:
            ids = tuple(x[None] for x in ids) if isinstance(
                ids, (tuple, list)) else ids[None]
        segment_ids = ids
    for name, x in (("q", q), ("k", k), ("v", v)):
        _problem.check_array(name, x, _problem.FLOATS, [4])
    q, k, v = (to_bnth(jnp.asarray(x), layout) for x in (q, k, v))
    _problem.check_attention(q, k, v)
    scores = _problem.scoring(q.shape[3], causal, window, softcap, scale)
    ids = _problem.split_segment_ids(segment_ids, q, k) or ()
    _problem.check_sinks(sinks, q.shape[1])
    call = Call(scores, bool(return_lse), bool(ids), sinks is not None)
    q, k, v, *rest = _jax.vary_alike(
        [q, k, v, *ids] + ([] if sinks is None else [sinks]))
    made = _attend(call, q, k, v, tuple(rest[:len(ids)]),
                   tuple(rest[len(ids):]))
    results = [to_bnth(x, layout) for x in (made if return_lse else (made,))]
    if single:
        results = [x[0] for x in results]
    return tuple(results) if return_lse else results[0]
