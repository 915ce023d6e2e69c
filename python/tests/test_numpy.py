"""`pallas_flash.numpy`: the same numbers as under JAX and as fp64, no JAX."""
import subprocess
import sys

import numpy as np
import pytest

import pallas_flash.numpy as plain
import reference


@pytest.mark.parametrize("seed", range(100, 112))
@pytest.mark.parametrize("layout", ["BNTH", "BTNH"])
def test_grid(seed, layout):
    case = reference.draw(seed)
    result = reference.solve(case)

    def turn(x):
        return np.swapaxes(x, 1, 2) if layout == "BTNH" else x

    q, k, v, d_o = map(turn, case.inputs())
    keywords = dict(case.keywords(), layout=layout)
    o, lse = plain.attention(q, k, v, return_lse=True, **keywords)
    made = plain.attention_backward(q, k, v, o, lse, d_o,
                                    d_lse=turn(case.d_lse), **keywords)
    named = dict(o=turn(o), lse=turn(lse))
    named.update(zip(("dq", "dk", "dv"), map(turn, made)))
    if case.sinks is not None:
        named["dsinks"] = made[3]
    for name, array in named.items():
        reference.check(name, array, result)


def test_without_jax():
    """JAX is not even imported; what needs it says so."""
    script = """
import sys
sys.modules["jax"] = None
import numpy as np
import pallas_flash, pallas_flash.numpy as plain
x = np.ones((1, 4, 2, 8), np.float32)
assert (plain.attention(x, x, x) == 1).all()
assert pallas_flash.__version__
try:
    pallas_flash.attention
except ImportError as error:
    assert "need JAX, at least" in str(error), error
else:
    raise AssertionError("no error without JAX")
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_dlpack():
    """Another library's array, viewed."""
    x = np.random.default_rng(1).standard_normal((1, 4, 2, 8),
                                                 dtype=np.float32)
    view = np.from_dlpack(x)
    np.testing.assert_array_equal(plain.attention(view, view, view),
                                  plain.attention(x, x, x))


def test_fork():
    """A child that was forked has no workers of its parent's: it makes some."""
    script = """
import os
import numpy as np
import pallas_flash.numpy as plain
x = np.ones((1, 300, 4, 64), np.float32)
plain.attention(x, x, x)
child = os.fork()
if child == 0:
    os._exit(int(not (plain.attention(x, x, x) == 1).all()))
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
