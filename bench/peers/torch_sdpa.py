#!/usr/bin/env python3
"""PyTorch's scaled_dot_product_attention, a peer of `pflash bench`: on the CPU,
or, as torch_cuda.py has it, on the first CUDA device.

Speaks the peers' protocol of docs/benchmark.md: one JSON object a line, read
from stdin, answered on stdout. The flash backend is asked for by name; where
the dtype has none, the cell is skipped. Decode folds the query heads that share
a key-value head into query rows, the fastest of torch's ways to do GQA.
"""
import ctypes
import json
import mmap
import os
import struct
import sys
import time

# What a library prints must not get between the lines of the protocol.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

try:
    import torch
    import torch.nn.functional as functional
    from torch.nn.attention import SDPBackend, sdpa_kernel
except ImportError as error:
    for line in sys.stdin:
        reason = f"{error}; run bench/peers/setup_torch.sh"
        print(json.dumps({"skip": reason}), file=answers, flush=True)
    sys.exit()

DEVICE = "cpu"
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def read_tensors(path):
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    (size,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(data, dtype=torch.uint8, count=end - begin,
                                offset=8 + size + begin)
        # cloned, since the file goes away and its offset may be unaligned
        typed = flat.clone().view(DTYPES[entry["dtype"]]).to(DEVICE)
        tensors[name] = typed.view(entry["shape"])
    return tensors


def write_tensors(path, tensors):
    header, chunks, offset = {}, [], 0
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        chunk = ctypes.string_at(tensor.data_ptr(), tensor.nbytes)
        header[name] = {
            "dtype": DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(chunk)],
        }
        chunks.append(chunk)
        offset += len(chunk)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(chunks)


def attend(q, k, v, causal):
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return functional.scaled_dot_product_attention(
            q, k, v, is_causal=causal)


def spread(cell, tensor):
    """A key-value head for each query head: made once, and not timed."""
    return tensor.repeat_interleave(cell["q_heads"] // cell["kv_heads"], dim=1)


class Forward:
    def __init__(self, cell, inputs):
        self.tensors = (inputs["q"], spread(cell, inputs["k"]),
                        spread(cell, inputs["v"]))
        self.causal = cell["causal"]

    def run(self):
        with torch.no_grad():
            self.o = attend(*self.tensors, self.causal)

    def outputs(self):
        return {"o": self.o}


class Backward:
    """The gradients alone: the forward pass and what it keeps are made once."""

    def __init__(self, cell, inputs):
        self.tensors = [inputs[name].requires_grad_() for name in "qkv"]
        self.d_o = inputs["do"]
        self.o = attend(*self.tensors, cell["causal"])

    def run(self):
        self.gradients = torch.autograd.grad(
            self.o, self.tensors, self.d_o, retain_graph=True)

    def outputs(self):
        return dict(zip(("dq", "dk", "dv"), self.gradients))


class Decode:
    """Walks over copies of the cache, so that none is found in the CPU's."""

    def __init__(self, cell, inputs):
        self.shape = inputs["q"].shape
        heads, width = cell["kv_heads"], cell["head_dim"]
        self.q = inputs["q"].view(cell["batch"], heads, -1, width)
        self.caches = [(inputs["k"].clone(), inputs["v"].clone())
                       for _ in range(cell["copies"])]
        self.next = 0

    def run(self):
        k, v = self.caches[self.next]
        self.next = (self.next + 1) % len(self.caches)
        with torch.no_grad():
            self.o = attend(self.q, k, v, False)

    def outputs(self):
        return {"o": self.o.view(self.shape)}


def run(work):
    """One run, to its end: a GPU's goes on when the call has returned."""
    work.run()
    if DEVICE != "cpu":
        torch.cuda.synchronize()


OPS = {"forward": Forward, "backward": Backward, "decode": Decode}


def load(cell):
    """(the cell ready to run, None) or (None, why it cannot be)."""
    if cell["cache_dtype"] != cell["dtype"]:
        return None, (f"no {cell['cache_dtype']} cache in "
                      "scaled_dot_product_attention")
    for feature in "window", "softcap", "sinks":
        if cell.get(feature):
            return None, f"no {feature} in the flash backend of torch"
    if cell["op"] == "backward" and cell["q_heads"] != cell["kv_heads"]:
        return None, "no gradients of shared key-value heads by themselves"
    torch.set_num_threads(cell["threads"])
    try:
        work = OPS[cell["op"]](cell, read_tensors(cell["inputs"]))
        run(work)
    except (RuntimeError, KeyError) as error:
        return None, " ".join(str(error).split())
    return work, None


def main():
    work = None
    for line in sys.stdin:
        request = json.loads(line)
        if "cell" in request:
            work = None  # its memory goes before the next takes its own
            work, reason = load(request["cell"])
            title = "torch " + torch.__version__.split("+")[0]
            answer = {"skip": reason} if reason else {"ready": title}
            if DEVICE != "cpu" and not reason:
                answer["device"] = torch.cuda.get_device_name()
        elif "run" in request:
            start = time.perf_counter()
            run(work)
            answer = {"seconds": time.perf_counter() - start}
        else:
            write_tensors(request["write"], work.outputs())
            answer = {"written": True}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
