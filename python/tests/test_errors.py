"""Bad input: a clear error before anything is compiled."""
import os
import pathlib
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pallas_flash
import pallas_flash.numpy as plain
from pallas_flash import _library, attention

X = np.zeros((2, 8, 4, 16), np.float32)


def of(shape, dtype="float32"):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize("kind,words,change", [
    (TypeError, "q has dtype float64", dict(q=of(X.shape, "float64"))),
    (TypeError, "k has dtype int32", dict(k=of(X.shape, "int32"))),
    (TypeError, "float32, float32 and bfloat16: must be the same",
     dict(v=of(X.shape, "bfloat16"))),
    (TypeError, "q is list: must be an array", dict(q=[1.0])),
    (ValueError, "batches of 2, 3 and 2", dict(k=of((3, 8, 4, 16)))),
    (ValueError, "k has 7 keys and v 8", dict(k=of((2, 7, 4, 16)))),
    (ValueError, "k has 2 heads and v 4", dict(k=of((2, 8, 2, 16)))),
    (ValueError, "q has 4 heads and k has 3",
     dict(k=of((2, 8, 3, 16)), v=of((2, 8, 3, 16)))),
    (ValueError, "q has 16 elements a head and k 8", dict(k=of((2, 8, 4, 8)))),
    (ValueError, "1 to 512", dict(q=of((2, 8, 4, 520)), k=of((2, 8, 4, 520)))),
    (ValueError, "must have 4 dimensions", dict(k=of((8, 16)))),
    (ValueError, "layout is 'NHWC'", dict(layout="NHWC")),
    (ValueError, "window is 'all'", dict(window="all")),
    (ValueError, "window's left is -2", dict(window=(-2, 0))),
    (ValueError, "softcap is 0", dict(softcap=0)),
    (ValueError, "scale is 0", dict(scale=0)),
    (ValueError, "scale is nan", dict(scale=float("nan"))),
    (ValueError, r"segment_ids of q has shape \(2, 7\)",
     dict(segment_ids=of((2, 7), "int32"))),
    (TypeError, "segment_ids of k has dtype float32",
     dict(segment_ids=(of((2, 8), "int32"), of((2, 8))))),
    (ValueError, r"sinks has shape \(3,\): must be \(4,\)", dict(sinks=of(3))),
])
def test_arguments(kind, words, change):
    given = dict(q=X, k=X, v=X)
    given.update(change)
    for call in (attention, plain.attention):
        if call is plain.attention and "q is list" in words:
            continue  # NumPy takes lists: asarray makes float64 of them
        with pytest.raises(kind, match=words):
            q, k, v = (given[name] for name in "qkv")
            call(q, k, v, **{name: value for name, value in given.items()
                             if name not in "qkv"})


def test_traced_numbers():
    with pytest.raises(TypeError, match="scale is .*: must be a number known"):
        jax.jit(lambda s: attention(X, X, X, scale=s))(0.5)


def test_backward_shapes():
    o, lse = plain.attention(X, X, X, return_lse=True)
    with pytest.raises(ValueError, match="lse has shape"):
        plain.attention_backward(X, X, X, o, lse[:, :3], X)
    with pytest.raises(TypeError, match="d_o has dtype float16"):
        plain.attention_backward(X, X, X, o, lse, X.astype("float16"))


def imported(environment, prelude=""):
    """What an import says, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", prelude + "import pallas_flash.numpy as p, numpy"
         " as n\nx = n.ones((1, 2, 1, 8), 'float32')\np.attention(x, x, x)\n"
         "import pallas_flash; pallas_flash.attention"],
        env=dict(os.environ, **environment), text=True, capture_output=True)
    assert done.returncode != 0
    return done.stderr.strip().splitlines()[-1]


def test_missing_library(tmp_path):
    said = imported({"PFLASH_PYTHON_LIBRARY": str(tmp_path / "none.so")})
    assert "ImportError: pallas_flash cannot load its library" in said
    assert "reinstall pallas-flash" in said
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"\x7fELF")
    said = imported({"PFLASH_PYTHON_LIBRARY": str(broken)})
    assert "cannot load its library" in said


def test_foreign_library():
    import ctypes.util
    said = imported({"PFLASH_PYTHON_LIBRARY": ctypes.util.find_library("m")
                     or "libm.so.6"})
    assert ("is not the library of pallas_flash: it has no pfl_python_abi"
            in said)


def test_other_version():
    found = types.SimpleNamespace(
        pfl_python_abi=lambda: _library.ABI + 1,
        pfl_version=lambda: _library.VERSION.encode())
    with pytest.raises(ImportError, match=f"needs ABI {_library.ABI}"):
        _library._check(found, pathlib.Path("other.so"))
    found.pfl_python_abi = lambda: _library.ABI
    found.pfl_version = lambda: b"9.9.9"
    with pytest.raises(ImportError, match="is version 9.9.9"):
        _library._check(found, pathlib.Path("other.so"))


def test_old_jax():
    said = imported({}, "import jax\njax.__version_info__ = (0, 4, 30)\n"
                        "jax.__version__ = '0.4.30'\n")
    assert "JAX is 0.4.30: pallas_flash needs at least 0.8.1" in said


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'flash'"):
        pallas_flash.flash


def test_other_platform():
    """No kernel there: JAX says so, naming the primitive."""
    x = jnp.zeros((1, 8, 1, 8))
    traced = jax.jit(lambda x: attention(x, x, x)).trace(x)
    with pytest.raises(NotImplementedError, match="pallas_flash_forward"):
        traced.lower(lowering_platforms=("cuda",))
