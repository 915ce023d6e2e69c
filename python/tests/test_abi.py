"""programs/pflash-python/ffi_abi.h against the header that jaxlib carries, and
_library.py's structs against the C headers: sizes, offsets, numbers."""
import ctypes
import pathlib
import re
import shutil
import subprocess

import pytest

from pallas_flash import _library

ROOT = pathlib.Path(__file__).resolve().parents[2]
OURS = ROOT / "programs/pflash-python/ffi_abi.h"
COMPILER = shutil.which("cc") or shutil.which("gcc")

pytestmark = pytest.mark.skipif(
    not COMPILER or not OURS.exists(),
    reason="needs a C compiler and the checkout's headers")


def numbers(tmp_path, include, expressions, *flags):
    """What the compiler makes of C expressions."""
    lines = "\n".join(f'printf("%ld\\n", (long)({e}));' for e in expressions)
    source = tmp_path / "facts.c"
    source.write_text(f"#include <stdio.h>\n#include <stddef.h>\n"
                      f"#include {include}\nint main(void) {{\n{lines}\n}}\n")
    program = tmp_path / "facts"
    subprocess.run([COMPILER, "-std=gnu11", "-w", *flags, source, "-o",
                    program], check=True)
    told = subprocess.run([program], check=True, text=True,
                          capture_output=True).stdout
    return dict(zip(expressions, map(int, told.split())))


def test_ffi(tmp_path):
    import jax.ffi
    text = re.sub(r"/\*.*?\*/", "", OURS.read_text(), flags=re.DOTALL)
    structs = re.findall(r"typedef struct (\w+) {(.*?)\n} \1;", text, re.DOTALL)
    assert len(structs) >= 14, "our own header was not understood"
    asked = []
    for name, body in structs:
        for field in re.findall(r"(\w+);", body):
            asked += [f"offsetof({name}, {field})",
                      f"sizeof((({name} *)0)->{field})"]
    asked += re.findall(r"\b(XLA_FFI_\w+) = \d+", text) + ["XLA_FFI_API_MAJOR"]
    known = numbers(tmp_path, f'"{OURS}"', asked)
    theirs = numbers(tmp_path, '"xla/ffi/api/c_api.h"', asked,
                     f"-I{jax.ffi.include_dir()}")
    assert known == theirs
    minor = numbers(tmp_path, '"xla/ffi/api/c_api.h"', ["XLA_FFI_API_MINOR"],
                    f"-I{jax.ffi.include_dir()}")["XLA_FFI_API_MINOR"]
    ours = numbers(tmp_path, f'"{OURS}"', ["XLA_FFI_API_MINOR",
                                           "XLA_FFI_API_MINOR_MIN"])
    assert ours["XLA_FFI_API_MINOR_MIN"] <= minor, minor
    print(f"XLA's FFI is version 0.{minor}")


@pytest.mark.parametrize("name,kind", [
    ("pfl_error", _library.Error), ("pfl_scoring", _library.Scoring),
    ("pfl_attention", _library.Attention),
    ("pfl_forward_args", _library.ForwardArgs),
    ("pfl_backward_args", _library.BackwardArgs),
    ("pfl_decode", _library.Decode), ("pfl_decode_args", _library.DecodeArgs),
    ("pfl_python_request", _library.Request)])
def test_structs(tmp_path, name, kind):
    asked = [f"sizeof({name})"] + [f"offsetof({name}, {field})"
                                   for field, _ in kind._fields_]
    known = numbers(tmp_path, f'"{ROOT}/programs/pflash-python/python_api.h"',
                    asked, f"-I{ROOT / 'include'}")
    told = [ctypes.sizeof(kind)] + [getattr(kind, field).offset
                                    for field, _ in kind._fields_]
    assert list(known.values()) == told


def test_numbers(tmp_path):
    asked = ["PYTHON_ABI", "PFL_DTYPE_F32", "PFL_DTYPE_BF16", "PFL_DTYPE_F16",
             "PFL_DTYPE_I8", "PFL_DTYPE_I32"]
    known = numbers(tmp_path, f'"{ROOT}/programs/pflash-python/python_api.h"',
                    asked, f"-I{ROOT / 'include'}")
    assert list(known.values()) == [_library.ABI, *_library.DTYPES.values()]


def test_versions():
    """One version, wherever it is written."""
    cmake = re.search(r"project\(\w+ VERSION (\S+)",
                      (ROOT / "CMakeLists.txt").read_text())[1]
    wheel = re.search(r'^version = "(.*)"',
                      (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert cmake == wheel == _library.VERSION
