"""Attention in plain Python and fp64, independent of the library: every score
is formed, every probability kept. Beside each result stands how far a
computation in f32 may be from it, derived as follows.

Let e = 2^-24 and u be the relative error of rounding to f32 and to the
tensors' dtype; m = u for bf16, whose probabilities and score gradients may be
rounded to bf16 between the products, and m = 0 otherwise; delta = rowsum(dO O).
To first order:

  score     |ds| <= d = e (D + 16) max_j scale sum |q| |k| + 8 e softcap
  weight    P: relative w = 2 d + e (Sk + 16), its exponent's error, the sum's
  O         (w + 2 m + e (Sk + 4)) sum P |V| + u |O|
  LSE       d + e (Sk + 16 + 4 |LSE|)
  P again   from LSE: relative w' = w + d + e (Sk + 32 + 4 |LSE|)
  delta     sum |dO| err(O) + e (Dv + 2) sum |dO| |O|
  dP        e (Dv + 2) sum |dO| |V|
  dS        |dS| (w' + m + 8 e) + P (err(dP) + err(delta))
            and, with a softcap, P |dP - delta| (2 d / softcap + 8 e)
  dQ dK dV  sums of those errors times the other factor, e (terms + 4) of the
            sum of absolute values, and u of the result
"""
import math

E = 2.0 ** -24
UNIT = {"F32": E, "F16": 2.0 ** -11, "BF16": 2.0 ** -8}


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def absolute_dot(a, b):
    return sum(abs(x * y) for x, y in zip(a, b))


def rows(values, width):
    return [values[i:i + width] for i in range(0, len(values), width)]


class Scoring:
    """What the options say; `left` and `right` are None where open."""

    def __init__(self, D, scale=None, softcap=0, causal=False, window=None):
        self.D = D
        self.scale = 1 / math.sqrt(D) if scale is None else scale
        self.softcap = softcap
        self.left, self.right = window or (-1, -1)
        if causal:
            self.right = 0

    def sees(self, position, key):
        return ((self.left < 0 or key >= position - self.left) and
                (self.right < 0 or key <= position + self.right))

    def score(self, q, k):
        s = self.scale * dot(q, k)
        if self.softcap:
            return self.softcap * math.tanh(s / self.softcap)
        return s

    def error(self, q, keys):
        """d: of the scores of q against keys."""
        size = max(abs(self.scale) * absolute_dot(q, k) for k in keys)
        return E * (self.D + 16) * size + 8 * E * self.softcap


class Row:
    """One query against the keys it sees: weights, O, LSE and their errors."""

    def __init__(self, scoring, q, keys, values, width, visible, sink, dtype):
        self.visible = visible
        self.lse, self.lse_error = -math.inf, 0
        self.o, self.o_error = [0.0] * width, [0.0] * width
        if not visible:
            return
        self.s = [scoring.score(q, keys[j]) for j in visible]
        top = max(self.s + ([] if sink is None else [sink]))
        total = sum(math.exp(s - top) for s in self.s)
        if sink is not None:
            total += math.exp(sink - top)
        self.lse = top + math.log(total)
        self.p = [math.exp(s - self.lse) for s in self.s]
        count = len(visible)
        unit = UNIT[dtype]
        middle = unit if dtype == "BF16" else 0
        self.d = scoring.error(q, [keys[j] for j in visible])
        self.w = 2 * self.d + E * (count + 16)
        self.lse_error = self.d + E * (count + 16 + 4 * abs(self.lse))
        for c in range(width):
            column = [values[j][c] for j in visible]
            self.o[c] = dot(self.p, column)
            self.o_error[c] = ((self.w + 2 * middle + E * (count + 4)) *
                               absolute_dot(self.p, column) +
                               unit * abs(self.o[c]))


def make_rows(scoring, dtype, q, k, v, sizes, q_ids, kv_ids, sinks):
    """The Row of each query; q, k, v as lists of rows, heads outermost."""
    B, Hq, Hkv, Sq, Sk, D, Dv = sizes
    found = []
    for b in range(B):
        for h in range(Hq):
            first = (b * Hkv + h // (Hq // Hkv)) * Sk
            keys, values = k[first:first + Sk], v[first:first + Sk]
            for i in range(Sq):
                visible = [j for j in range(Sk)
                           if scoring.sees(i + Sk - Sq, j) and
                           (q_ids is None or
                            q_ids[b * Sq + i] == kv_ids[b * Sk + j])]
                found.append(Row(scoring, q[(b * Hq + h) * Sq + i], keys,
                                 values, Dv, visible,
                                 None if sinks is None else sinks[h], dtype))
    return found


def unpack(tensors):
    """dtype, q, k, v as rows, the sizes, and the optional ones or None."""
    dtype, (B, Hq, Sq, D), q = tensors["q"]
    _, (_, Hkv, Sk, _), k = tensors["k"]
    _, (_, _, _, Dv), v = tensors["v"]

    def values(name):
        return tensors[name][2] if name in tensors else None
    return (dtype, rows(q, D), rows(k, D), rows(v, Dv), (B, Hq, Hkv, Sq, Sk, D, Dv),
            values("q_segment_ids"), values("kv_segment_ids"), values("sinks"))


def forward(tensors, **options):
    """{"o": (values, errors), "lse": (values, errors)}, flat."""
    dtype, q, k, v, sizes, *others = unpack(tensors)
    scoring = Scoring(sizes[-2], **options)
    return outputs(make_rows(scoring, dtype, q, k, v, sizes, *others))


def outputs(found):
    return {"o": ([x for row in found for x in row.o],
                  [x for row in found for x in row.o_error]),
            "lse": ([row.lse for row in found],
                    [row.lse_error for row in found])}


class Sum:
    """Vectors summed, with the errors of their terms."""

    def __init__(self, width):
        self.values = [0.0] * width
        self.errors = [0.0] * width
        self.absolute = [0.0] * width
        self.terms = 0

    def add(self, factor, factor_error, vector):
        self.terms += 1
        for c, x in enumerate(vector):
            self.values[c] += factor * x
            self.errors[c] += factor_error * abs(x)
            self.absolute[c] += abs(factor * x)

    def result(self, unit):
        """Values and errors after rounding."""
        return self.values, [
            error + E * (self.terms + 4) * absolute + unit * abs(value)
            for value, error, absolute in zip(self.values, self.errors,
                                              self.absolute)]


def score_gradients(scoring, row, values, d_o, dtype):
    """(dS, its error, P, its error) of each visible key; delta and its error."""
    middle = UNIT[dtype] if dtype == "BF16" else 0
    again = row.w + row.d + E * (len(row.visible) + 32 + 4 * abs(row.lse))
    delta = dot(d_o, row.o)
    delta_error = (absolute_dot(d_o, row.o_error) +
               E * (len(d_o) + 2) * absolute_dot(d_o, row.o))
    found = []
    for j, s, p in zip(row.visible, row.s, row.p):
        rest = dot(d_o, values[j]) - delta
        rest_error = (E * (len(d_o) + 2) * absolute_dot(d_o, values[j]) +
                      delta_error)
        slope, slope_error = 1.0, 0.0
        if scoring.softcap:
            slope = 1 - (s / scoring.softcap) ** 2
            slope_error = 2 * row.d / scoring.softcap + 8 * E
        d_s = p * rest * slope
        found.append((d_s, abs(d_s) * (again + middle + 8 * E) +
                      p * (rest_error + abs(rest) * slope_error),
                      p, p * (again + middle)))
    return found, delta, delta_error


def backward(tensors, **options):
    """{"dq": (values, errors), ...}; dsinks where there are sinks."""
    dtype, q, k, v, sizes, q_ids, kv_ids, sinks = unpack(tensors)
    B, Hq, Hkv, Sq, Sk, D, Dv = sizes
    scoring = Scoring(D, **options)
    d_o = rows(tensors["do"][2], Dv)
    found = make_rows(scoring, dtype, q, k, v, sizes, q_ids, kv_ids, sinks)
    dq = [Sum(D) for _ in q]
    dk, dv = [Sum(D) for _ in k], [Sum(Dv) for _ in v]
    dsinks = [Sum(1) for _ in range(Hq)]
    for index, row in enumerate(found):
        if not row.visible:
            continue
        b, h = index // (Hq * Sq), index // Sq % Hq
        first = (b * Hkv + h // (Hq // Hkv)) * Sk
        gradients, delta, delta_error = score_gradients(
            scoring, row, v[first:first + Sk], d_o[index], dtype)
        for j, (d_s, d_s_error, p, p_error) in zip(row.visible, gradients):
            d_s, d_s_error = scoring.scale * d_s, abs(scoring.scale) * d_s_error
            dq[index].add(d_s, d_s_error, k[first + j])
            dk[first + j].add(d_s, d_s_error, q[index])
            dv[first + j].add(p, p_error, d_o[index])
        if sinks is not None:
            p = math.exp(sinks[h] - row.lse)
            relative = row.lse_error + E * (8 + 4 * abs(sinks[h] - row.lse))
            dsinks[h].add(-p * delta,
                          p * (relative * abs(delta) + delta_error), [1.0])

    def gathered(sums, unit):
        parts = [part.result(unit) for part in sums]
        return ([x for values, _ in parts for x in values],
                [x for _, errors in parts for x in errors])
    result = {name: gathered(sums, UNIT[dtype])
              for name, sums in (("dq", dq), ("dk", dk), ("dv", dv))}
    if sinks is not None:
        result["dsinks"] = gathered(dsinks, E)
    return result


def cache_row(tensors, paged, name, b, head, token):
    """Row `token` of sequence b's keys ("k") or values ("v"), in fp64."""
    dtype, shape, values = tensors[name + "_pages" if paged else name]
    _, heads, tokens, width = shape
    block = b
    if paged:
        _, (_, columns), table = tensors["block_table"]
        block = table[b * columns + token // tokens]
        token %= tokens
    index = (block * heads + head) * tokens + token
    row = values[index * width:(index + 1) * width]
    if dtype != "I8":
        return row
    return [tensors[name + "_scale"][2][index] * x for x in row]


def decode(tensors, **options):
    """As forward, of the last T positions of each sequence."""
    paged = "k_pages" in tensors
    dtype, (B, Hq, T, D), q = tensors["q"]
    _, shape, _ = tensors["k_pages" if paged else "k"]
    Hkv, Smax = shape[1], shape[2]
    Dv = tensors["v_pages" if paged else "v"][1][3]
    scoring = Scoring(D, causal=True, **options)
    sinks = tensors["sinks"][2] if "sinks" in tensors else None
    found = []
    for b in range(B):
        length = tensors["lengths"][2][b] if "lengths" in tensors else Smax
        for h in range(Hq):
            keys, values = ([cache_row(tensors, paged, name, b,
                                       h // (Hq // Hkv), t)
                             for t in range(length)] for name in "kv")
            for i in range(T):
                visible = [j for j in range(length)
                           if scoring.sees(i + length - T, j)]
                found.append(Row(scoring, rows(q, D)[(b * Hq + h) * T + i],
                                 keys, values, Dv, visible,
                                 None if sinks is None else sinks[h], dtype))
    return outputs(found)
