"""What the peers of `pflash bench` that compute with NumPy arrays share: the
protocol of docs/benchmark.md, safetensors files, and threads.

A peer makes a class of what it can run and serves it:

    class Cell:
        def __init__(self, cell, inputs): ...   # raises Skip
        def run(self): ...                      # ends when the work has
        def outputs(self): ...                  # {"o": array} or dq, dk, dv

    serve(Cell, title="jax 0.10.2", device="")  # "": this machine's CPU
"""
import json
import os
import struct
import sys
import time

# What a library prints must not get between the lines of the protocol.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


class Skip(Exception):
    """Why a cell cannot be run."""


def use_threads():
    """As many CPUs as the benchmark allots: for libraries that take all the
    process may run on. To be called before they are imported."""
    threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    allowed = sorted(os.sched_getaffinity(0))
    if 0 < threads < len(allowed):
        os.sched_setaffinity(0, allowed[:threads])


def refuse(reason):
    """Answers every cell with the reason, and ends."""
    for _ in sys.stdin:
        print(json.dumps({"skip": reason}), file=answers, flush=True)
    sys.exit()


def read_tensors(path, dtypes):
    """Arrays by name; `dtypes` has NumPy's for "F32", "BF16", "F16", "I8"."""
    import numpy as np
    with open(path, "rb") as file:
        data = file.read()
    (size,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(
            data[8 + size + begin : 8 + size + end],
            dtypes[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def write_tensors(path, tensors, dtypes):
    import numpy as np
    names = {np.dtype(dtype): name for name, dtype in dtypes.items()}
    header, chunks, offset = {}, [], 0
    for name, array in tensors.items():
        chunk = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": names[array.dtype],
                        "shape": list(array.shape),
                        "data_offsets": [offset, offset + len(chunk)]}
        chunks.append(chunk)
        offset += len(chunk)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(chunks)


def load(make, request, dtypes):
    """(the cell after one run, None) or (None, why it cannot be run)."""
    try:
        work = make(request, read_tensors(request["inputs"], dtypes))
        work.run()
    except Skip as reason:
        return None, str(reason)
    except Exception as error:  # a library's own, whatever it is
        return None, " ".join(f"{type(error).__name__}: {error}".split())[:400]
    return work, None


def serve(make, title, dtypes, device=""):
    work = None
    for line in sys.stdin:
        request = json.loads(line)
        if "cell" in request:
            work = None  # its memory goes before the next takes its own
            work, reason = load(make, request["cell"], dtypes)
            answer = {"skip": reason} if reason else {"ready": title}
            if device and not reason:
                answer["device"] = device
        elif "run" in request:
            start = time.perf_counter()
            work.run()
            answer = {"seconds": time.perf_counter() - start}
        else:
            write_tensors(request["write"], work.outputs(), dtypes)
            answer = {"written": True}
        print(json.dumps(answer), file=answers, flush=True)
