#!/usr/bin/env python3
"""llama.cpp's attention as a peer of `pflash bench`: its operation
ggml_flash_attn_ext on the CPU, alone in a graph - not a model, and none of
llama.cpp around it.

The libraries are those of whichever package there is: llama-cpp-python,
llama-cpp-py-sync, libggml-python; or of the folder that PFLASH_GGML names. q and
o are f32 there, as in llama.cpp; o is rounded to the row's dtype after the run.
"""
import ctypes
import importlib.util
import os
import pathlib

import peer_lines

try:
    import numpy as np
except ImportError as error:
    peer_lines.refuse(f"{error}; pip install numpy")

PACKAGES = ("llama_cpp", "llama_cpp_py_sync", "libggml")
# bfloat16 as its bits: NumPy has none
DTYPES = {"F32": np.float32, "BF16": np.uint16, "F16": np.float16,
          "I8": np.int8}
GGML_TYPES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1,
              np.dtype(np.uint16): 30}
PAD = 64  # rows that older versions want a mask's to be a multiple of


def folders():
    if os.environ.get("PFLASH_GGML"):
        yield pathlib.Path(os.environ["PFLASH_GGML"])
        return
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        for place in spec.submodule_search_locations or () if spec else ():
            for below in "", "lib", "lib64":
                yield pathlib.Path(place) / below


def find_libraries():
    for folder in folders():
        pair = [next(iter(sorted(folder.glob(f"libggml-{part}.so*"))), None)
                for part in ("base", "cpu")]
        if all(pair):
            return pair
    peer_lines.refuse("no libggml-base.so and libggml-cpu.so in any of "
                      f"{', '.join(PACKAGES)}; pip install llama-cpp-python or "
                      "libggml-python, or set PFLASH_GGML")


class Parameters(ctypes.Structure):
    """ggml_init_params"""
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p),
                ("no_alloc", ctypes.c_bool)]


class Ggml:
    """The functions that are needed, of two libraries."""

    def __init__(self, base, cpu):
        self.libraries = [ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
                          for path in (base, cpu)]
        pointer, size, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
        self.version = self.function("ggml_version", ctypes.c_char_p)
        self.init = self.function("ggml_init", pointer, Parameters)
        self.free = self.function("ggml_free", None, pointer)
        self.tensor = self.function("ggml_new_tensor_4d", pointer, pointer,
                                    ctypes.c_int, size, size, size, size)
        self.data = self.function("ggml_get_data", pointer, pointer)
        self.attend = self.function("ggml_flash_attn_ext", pointer, pointer,
                                    pointer, pointer, pointer, pointer, real,
                                    real, real)
        self.graph = self.function("ggml_new_graph", pointer, pointer)
        self.expand = self.function("ggml_build_forward_expand", None, pointer,
                                    pointer)
        self.backend = self.function("ggml_backend_cpu_init", pointer)()
        self.compute = self.function("ggml_backend_graph_compute",
                                     ctypes.c_int, pointer, pointer)
        self.set_threads = self.function("ggml_backend_cpu_set_n_threads",
                                         None, pointer, ctypes.c_int)

    def function(self, name, result, *arguments):
        for library in self.libraries:
            if hasattr(library, name):
                found = getattr(library, name)
                found.restype, found.argtypes = result, arguments
                return found
        raise AttributeError(f"this ggml has no {name}")

    def sinks(self, o, sinks):
        pointer = ctypes.c_void_p
        self.function("ggml_flash_attn_ext_add_sinks", None, pointer,
                      pointer)(o, sinks)


def widened(array):
    if array.dtype != np.uint16:
        return array.astype(np.float32)
    return (array.astype(np.uint32) << 16).view(np.float32)


def narrowed(array, dtype):
    if dtype != np.uint16:
        return array.astype(dtype)
    bits = np.ascontiguousarray(array).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def mask_of(cell):
    """0 where a query sees a key; None: it sees all."""
    queries, keys = cell["q_length"], cell["kv_length"]
    if cell["op"] == "decode" and not cell["window"]:
        return None
    if not cell["causal"] and not cell["window"]:
        return None
    query = np.arange(queries)[:, None] + keys - queries
    key = np.arange(keys)[None]
    seen = key <= query if cell["causal"] or cell["op"] == "decode" else True
    if cell["window"]:
        seen = seen & (key > query - cell["window"])
    rows = -(-queries // PAD) * PAD
    mask = np.full((1, 1, rows, keys), -np.inf, np.float16)
    mask[0, 0, :queries][seen] = 0
    return mask


class Cell:
    def __init__(self, cell, inputs):
        if cell["op"] == "backward":
            raise peer_lines.Skip("ggml has no gradients of flash attention")
        if cell["cache_dtype"] != cell["dtype"]:
            raise peer_lines.Skip("ggml quantises in blocks of 32, not by token")
        self.context = None
        self.cell, self.dtype = cell, inputs["q"].dtype
        copies = cell["copies"] if cell["op"] == "decode" else 1
        mask = mask_of(cell)
        q = widened(inputs["q"])
        need = (2 * q.nbytes + copies * (inputs["k"].nbytes +
                inputs["v"].nbytes) + (0 if mask is None else mask.nbytes))
        # each tensor and graph has a head of less than this
        self.context = GGML.init(Parameters(
            need + (copies + 8) * (1 << 19), None, False))
        if not self.context:
            raise peer_lines.Skip("ggml has no memory for it")
        GGML.set_threads(GGML.backend, cell["threads"])
        self.graphs = [self.make(q, inputs, mask, cell) for _ in
                       range(copies)]
        self.next = 0

    def __del__(self):
        if self.context:
            GGML.free(self.context)

    def put(self, array):
        shape = (1,) * (4 - array.ndim) + array.shape
        tensor = GGML.tensor(self.context, GGML_TYPES[array.dtype],
                             *shape[::-1])
        array = np.ascontiguousarray(array)
        ctypes.memmove(GGML.data(tensor), array.ctypes.data, array.nbytes)
        return tensor

    def make(self, q, inputs, mask, cell):
        if not hasattr(self, "shared"):
            self.shared = (self.put(q), None if mask is None else
                           self.put(mask))
        k, v = self.put(inputs["k"]), self.put(inputs["v"])
        o = GGML.attend(self.context, self.shared[0], k, v, self.shared[1],
                        cell["head_dim"] ** -0.5, 0.0, cell["softcap"])
        if cell["sinks"]:
            GGML.sinks(o, self.put(inputs["sinks"]))
        graph = GGML.graph(self.context)
        GGML.expand(graph, o)
        return graph, o

    def run(self):
        graph, self.o = self.graphs[self.next]
        self.next = (self.next + 1) % len(self.graphs)
        status = GGML.compute(GGML.backend, graph)
        if status:
            raise RuntimeError(f"ggml_backend_graph_compute gave {status}")

    def outputs(self):
        cell = self.cell
        shape = (cell["batch"], cell["q_length"], cell["q_heads"],
                 cell["head_dim"])
        count = int(np.prod(shape))
        data = ctypes.cast(GGML.data(self.o),
                           ctypes.POINTER(ctypes.c_float * count)).contents
        o = np.frombuffer(data, np.float32).reshape(shape).swapaxes(1, 2)
        return {"o": narrowed(o, self.dtype)}


try:
    GGML = Ggml(*find_libraries())
except (OSError, AttributeError) as error:
    peer_lines.refuse(" ".join(str(error).split()))
peer_lines.serve(Cell, "llama.cpp ggml " + GGML.version().decode(), DTYPES)
