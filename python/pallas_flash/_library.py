"""The package's shared library: found, checked and declared.

The structs are those of include/pallas_flash/attention.h and
programs/pflash-python/python_api.h, which say what every field means.
"""
from __future__ import annotations

import ctypes
import functools
import os
import pathlib
from ctypes import POINTER, byref, c_char, c_char_p, c_double, c_int32
from ctypes import c_int64, c_size_t, c_void_p
from typing import NoReturn

VERSION = "0.1.0"
ABI = 1  # PYTHON_ABI of python_api.h

DTYPES = {"float32": 1, "bfloat16": 2, "float16": 3, "int8": 4, "int32": 5}


class Error(ctypes.Structure):
    """pfl_error"""
    _fields_ = [("status", c_int32), ("message", c_char * 512)]


class Descriptor(ctypes.Structure):
    """What begins with its own size."""

    def __init__(self, **fields):
        super().__init__(struct_size=ctypes.sizeof(self), **fields)


class Scoring(ctypes.Structure):
    """pfl_scoring"""
    _fields_ = [("scale", c_double), ("softcap", c_double),
                ("causal", c_int32), ("windowed", c_int32),
                ("window_left", c_int64), ("window_right", c_int64)]


class Attention(Descriptor):
    """pfl_attention"""
    _fields_ = [("struct_size", c_size_t), ("batch", c_int64),
                ("q_heads", c_int64), ("kv_heads", c_int64),
                ("q_length", c_int64), ("kv_length", c_int64),
                ("head_dim", c_int64), ("v_head_dim", c_int64),
                ("dtype", c_int32), ("scoring", Scoring)]


class ForwardArgs(Descriptor):
    """pfl_forward_args"""
    _fields_ = [("struct_size", c_size_t)] + [(name, c_void_p) for name in (
        "q", "k", "v", "q_segment_ids", "kv_segment_ids", "sinks", "out_o",
        "out_lse")]


class BackwardArgs(Descriptor):
    """pfl_backward_args"""
    _fields_ = [("struct_size", c_size_t)] + [(name, c_void_p) for name in (
        "q", "k", "v", "o", "lse", "d_o", "q_segment_ids", "kv_segment_ids",
        "sinks", "out_dq", "out_dk", "out_dv", "out_dsinks", "d_lse")]


class Decode(Descriptor):
    """pfl_decode"""
    _fields_ = [("struct_size", c_size_t), ("batch", c_int64),
                ("q_heads", c_int64), ("kv_heads", c_int64),
                ("q_length", c_int64), ("head_dim", c_int64),
                ("v_head_dim", c_int64), ("cache_length", c_int64),
                ("page_count", c_int64), ("page_length", c_int64),
                ("pages_per_sequence", c_int64), ("dtype", c_int32),
                ("cache_dtype", c_int32), ("scoring", Scoring)]


class DecodeArgs(Descriptor):
    """pfl_decode_args"""
    _fields_ = [("struct_size", c_size_t)] + [(name, c_void_p) for name in (
        "q", "k", "v", "k_scale", "v_scale", "lengths", "block_table", "sinks",
        "out_o", "out_lse")]


class Request(Descriptor):
    """pfl_python_request"""
    _fields_ = [("struct_size", c_size_t), ("op", c_char_p),
                ("attention", POINTER(Attention)), ("decode", POINTER(Decode)),
                ("target", c_char_p), ("lse", c_int32),
                ("segment_ids", c_int32), ("sinks", c_int32),
                ("d_lse", c_int32)]


# Exceptions by status; RuntimeError for what is not listed.
_EXCEPTIONS = {3: ValueError, 8: MemoryError, 11: ValueError,
               12: NotImplementedError}


def fail(error: Error) -> NoReturn:
    """Raises what the C library said."""
    kind = _EXCEPTIONS.get(error.status, RuntimeError)
    raise kind(error.message.decode("utf-8", "replace"))


def _open(path: pathlib.Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise ImportError(
            f"pallas_flash cannot load its library {path}: {error}. It comes "
            "with the wheel: reinstall pallas-flash on this machine, or name "
            "another build's in PFLASH_PYTHON_LIBRARY") from error


def _check(library: ctypes.CDLL, path: pathlib.Path) -> None:
    """Refuses what is not ours, or another version's."""
    try:
        abi, version = library.pfl_python_abi, library.pfl_version
    except AttributeError as error:
        raise ImportError(f"{path} is not the library of pallas_flash: it has "
                          "no pfl_python_abi") from error
    version.restype = c_char_p
    found = version().decode(), abi()
    if found != (VERSION, ABI):
        raise ImportError(
            f"{path} is version {found[0]} with ABI {found[1]}: this package "
            f"is version {VERSION} and needs ABI {ABI}; reinstall pallas-flash")


@functools.cache
def load() -> ctypes.CDLL:
    """The library. ImportError: there is none, or a foreign one."""
    given = os.environ.get("PFLASH_PYTHON_LIBRARY")
    path = pathlib.Path(given) if given else (
        pathlib.Path(__file__).parent / "libpflash_python.so")
    library = _open(path)
    _check(library, path)
    library.pfl_python_free.argtypes = [c_void_p]
    library.pfl_python_free.restype = None
    for name, arguments in {
        "pfl_attention_forward": [c_void_p, POINTER(Attention),
                                  POINTER(ForwardArgs)],
        "pfl_attention_backward": [c_void_p, POINTER(Attention),
                                   POINTER(BackwardArgs)],
        "pfl_attention_decode": [c_void_p, POINTER(Decode),
                                 POINTER(DecodeArgs)],
        "pfl_python_context": [POINTER(c_void_p)],
        "pfl_python_describe": [POINTER(Request), POINTER(c_void_p)],
    }.items():
        function = getattr(library, name)
        function.argtypes = arguments + [POINTER(Error)]
        function.restype = c_int32
    return library


def call(name: str, *arguments) -> None:
    """Calls a function that gives a status; raises if it is not OK."""
    error = Error()
    if getattr(load(), name)(*arguments, byref(error)):
        fail(error)


def context() -> c_void_p:
    """The context that the process's calls share."""
    made = c_void_p()
    call("pfl_python_context", byref(made))
    return made


def describe(request: Request) -> str:
    """The TPU's program for a problem, as src/xla/lower.h says, in JSON."""
    text = c_void_p()
    call("pfl_python_describe", byref(request), byref(text))
    try:
        return ctypes.string_at(text).decode()
    finally:
        load().pfl_python_free(text)
