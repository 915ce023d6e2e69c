"""Attention as JAX has it for the TPU, compiled ahead of time for a v5e: no TPU
is needed. `pflash bench` asks for it and reads the listings that the compiler
leaves, as `pflash schedule` does. docs/benchmark.md has the protocol.

JSON objects come on stdin, one a line, and each is answered with one on stdout:

    {"versions": true}      {"versions": "jax 0.10.2"}   or   {"skip": "why"}
    {"cell": {...}, "way": 0, "directory": D}
                            {"title": "splash 1024-1024-512",
                             "kernels": [..], "without": [..]}
                            or {"failed": "why", "title": ..}
                            or {"done": true} past a cell's last way

A cell is as for the other peers, with "page" (0: contiguous) and "chips". A way
is a kernel with its block sizes. D then holds the listing, and inputs.json,
what the kernels read into their scalar sides: [{"program", "operand", "words"}].
"kernels" and "without" are how names of programs in it begin: of the kernels,
and of those that are not to be counted, as a backward program has its forward.

Needs jax and libtpu; TPU_LIBRARY_PATH names another libtpu than jax would take.
"""
import importlib.metadata
import json
import os
import re
import shutil
import sys
import tempfile

DUMPS = tempfile.mkdtemp(prefix="pflash-jax-")
os.environ.update(
    TPU_SKIP_MDS_QUERY="1", TPU_ACCELERATOR_TYPE="v5litepod-4",
    TPU_WORKER_HOSTNAMES="localhost", ALLOW_MULTIPLE_LIBTPU_LOAD="1",
    JAX_PLATFORMS="cpu", LIBTPU_INIT_ARGS=os.environ.get("LIBTPU_INIT_ARGS", "")
    + f" --xla_jf_dump_to={DUMPS} --xla_jf_dump_llo_text=true")

# Block sizes that were among the best of a sweep of some tens, for each kernel:
# of queries, of keys, of keys computed at once; causal, and full.
BLOCKS = {
    ("splash", "forward"): ([(1024, 1024, 512), (1024, 1024, 1024)],
                            [(1024, 1024, 1024), (2048, 2048, 256)]),
    ("splash", "backward"): ([(1024, 1024, 512)],
                             [(1024, 2048, 512), (1024, 1024, 512)]),
    ("flash", "forward"): ([(1024, 1024, 1024)], [(512, 2048, 1024)]),
    ("flash", "backward"): ([(512, 512, 512)], [(1024, 1024, 512)]),
}
# Tokens that are fetched together.
PAGED_TOKENS = [512, 2048]
RAGGED_TOKENS = [512, 1024]


def title(name, blocks):
    return name + " " + "-".join(map(str, blocks))


class Tpu:
    """What JAX is told of a chip that is not there."""

    def __init__(self):
        import jax
        import numpy
        from jax.experimental import topologies
        from jax.sharding import Mesh, NamedSharding, PartitionSpec
        from jax._src.pallas.mosaic import tpu_info
        tpu_info.get_device_kind = lambda: "TPU v5 lite"
        tpu_info.get_num_device_cores = lambda: 1
        devices = topologies.get_topology_desc("v5e:2x2", "tpu").devices
        mesh = Mesh(numpy.array(devices[:1]), ("x",))
        self.one = NamedSharding(mesh, PartitionSpec())
        self.jax = jax

    def tensor(self, *shape, dtype="bfloat16"):
        return self.jax.ShapeDtypeStruct(shape, dtype, sharding=self.one)


def with_gradients(jax, attend):
    def backward(q, k, v, do):
        _, pull = jax.vjp(attend, q, k, v)
        return pull(do)
    return backward


def as_it_lies(numpy, array):
    """The words of an int32 array in the chip's memory: tiles of 128 columns
    and as many rows, a power of two, as there are, but no more than 8."""
    array = numpy.asarray(array, numpy.int32)
    rows, columns = array.shape[-2:]
    tile = min(8, 1 << (rows - 1).bit_length())
    array = array.reshape(-1, rows, columns)
    array = numpy.pad(array, ((0, 0), (0, -rows % tile), (0, -columns % 128)))
    tiles = array.reshape(len(array), -1, tile, array.shape[2] // 128, 128)
    return tiles.transpose(0, 1, 3, 2, 4).flatten().tolist()


# ---- Training: each gives a function, its arguments and its inputs ----------

def flash(tpu, cell, blocks):
    from jax.experimental.pallas.ops.tpu.flash_attention import (
        BlockSizes, flash_attention)
    major, k_major, k = blocks
    backward = cell["op"] == "backward"
    sizes = dict(block_q=major, block_k_major=k_major, block_k=k, block_b=1)
    if backward:
        sizes = dict(
            block_q=512, block_k_major=1024, block_k=512, block_b=1,
            block_q_major_dkv=major, block_q_dkv=major,
            block_k_major_dkv=k_major, block_k_dkv=k,
            block_q_dq=major, block_k_major_dq=k_major, block_k_dq=k)

    def attend(q, k, v):
        return flash_attention(q, k, v, causal=cell["causal"],
                               sm_scale=cell["head_dim"] ** -0.5,
                               block_sizes=BlockSizes(**sizes))
    x = tpu.tensor(cell["batch"], cell["q_heads"], cell["q_length"],
                   cell["head_dim"])
    if backward:
        return with_gradients(tpu.jax, attend), [x] * 4, []
    return attend, [x] * 3, []


def splash(tpu, cell, blocks):
    import numpy
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_kernel as kernel, splash_attention_mask as masks)
    heads, length, dim = cell["q_heads"], cell["q_length"], cell["head_dim"]
    q_block, kv_block, compute = blocks
    backward = cell["op"] == "backward"
    sizes = dict(block_q=q_block, block_kv=kv_block, block_kv_compute=compute)
    if backward:
        sizes = dict(block_q=512, block_kv=1024, block_kv_compute=512,
                     block_q_dkv=q_block, block_kv_dkv=kv_block,
                     block_kv_dkv_compute=compute, use_fused_bwd_kernel=True)
    mask = (masks.LocalMask((length, length), (cell["window"] - 1, 0), 0)
            if cell["window"] else masks.CausalMask((length, length))
            if cell["causal"] else masks.FullMask((length, length)))
    with tpu.jax.default_device(tpu.jax.devices("cpu")[0]):
        made = kernel.make_splash_mha(
            masks.MultiHeadMask([mask] * heads), head_shards=1,
            q_seq_shards=1, block_sizes=kernel.BlockSizes(**sizes),
            downcast_smem_data=False)
    inputs = []
    for name, info in (("splash_mha_fwd", made.fwd_mask_info),
                       ("splash_mha_dkv", made.dkv_mask_info)):
        if info is None:
            continue
        present = [numpy.asarray(a) for a in
                   (info.data_next, info.block_mask, info.mask_next)
                   if a is not None]
        inputs += [dict(program=name, operand=i,
                        words=as_it_lies(numpy, a))
                   for i, a in enumerate(present)]
    leaves, tree = tpu.jax.tree_util.tree_flatten(made)
    leaves = [numpy.asarray(leaf) for leaf in leaves]

    def attend(q, k, v):
        return tpu.jax.tree_util.tree_unflatten(tree, leaves)(q, k, v)
    q = tpu.tensor(heads, length, dim)
    kv = tpu.tensor(cell["kv_heads"], length, dim)
    if backward:
        return with_gradients(tpu.jax, attend), [q, kv, kv, q], inputs
    return attend, [q, kv, kv], inputs


# ---- Decode -----------------------------------------------------------------

def page_inputs(program, lengths_at, pages_at, cell, pages):
    return [dict(program=program, operand=lengths_at,
                 words=[cell["kv_length"]] * cell["batch"]),
            dict(program=program, operand=pages_at,
                 words=list(range(pages)))]


def paged(tpu, cell, blocks):
    from jax.experimental.pallas.ops.tpu.paged_attention import paged_attention
    page, together = blocks
    batch, dim = cell["batch"], cell["head_dim"]
    each = -(-cell["kv_length"] // page)

    def attend(q, k, v, lengths, table):
        return paged_attention(q, k, v, lengths, table,
                               pages_per_compute_block=together)
    cache = tpu.tensor(cell["kv_heads"], batch * each, page, dim)
    return attend, [
        tpu.tensor(batch, cell["q_heads"], dim), cache, cache,
        tpu.tensor(batch, dtype="int32"),
        tpu.tensor(batch, each, dtype="int32")], [
        *page_inputs("paged_attention", 0, 1, cell, batch * each)]


def ragged(tpu, cell, blocks):
    from jax.experimental.pallas.ops.tpu.ragged_paged_attention import (
        ragged_paged_attention, tuned_block_sizes)
    tuned_block_sizes.get_tpu_version = lambda: 5
    tuned_block_sizes.get_device_name = lambda num_devices=None: "TPU v5" + (
        "" if num_devices is None else f"-{num_devices}")
    page, together = blocks
    batch, dim = cell["batch"], cell["head_dim"]
    each = -(-cell["kv_length"] // page)

    def attend(q, kv, lengths, table, starts, count):
        return ragged_paged_attention(
            q, kv, lengths, table, starts, count, sm_scale=dim ** -0.5,
            num_kv_pages_per_block=together, num_queries_per_block=8,
            vmem_limit_bytes=64 << 20)
    return attend, [
        tpu.tensor(batch, cell["q_heads"], dim),
        tpu.tensor(batch * each, page, 2 * cell["kv_heads"], dim),
        tpu.tensor(batch, dtype="int32"),
        tpu.tensor(batch, each, dtype="int32"),
        tpu.tensor(batch + 1, dtype="int32"),
        tpu.tensor(1, dtype="int32")], [
        *page_inputs("ragged_paged_attention", 0, 1, cell, batch * each),
        dict(program="ragged_paged_attention", operand=2,
             words=list(range(batch + 1))),
        dict(program="ragged_paged_attention", operand=3, words=[0, 0]),
        dict(program="ragged_paged_attention", operand=4, words=[batch])]


# ---- The ways of a cell -----------------------------------------------------

def ways_of(cell):
    """(kernel's name, its function, block sizes): each that may do it."""
    op, length = cell["op"], cell["q_length"]
    plain = not (cell["softcap"] or cell["sinks"])
    if op == "decode":
        plain = plain and not cell["window"]
        if cell["chips"] > 1 or cell["cache_dtype"] != "bf16" or not plain:
            return []
        page = cell["page"] or 256
        return ([("paged", paged, (page, tokens // page))
                 for tokens in PAGED_TOKENS]
                + [("ragged", ragged, (page, tokens // page))
                   for tokens in RAGGED_TOKENS])
    if cell["dtype"] != "bf16" or not plain or cell["batch"] != 1:
        return []
    kernels = [("splash", splash)]
    if cell["q_heads"] == cell["kv_heads"] and not cell["window"]:
        kernels.append(("flash", flash))
    return [(name, make, blocks) for name, make in kernels
            for blocks in BLOCKS[name, op][0 if cell["causal"] else 1]
            if max(blocks) <= length]


# How the names of their programs begin: of the op, and of a backward program's
# forward pass.
KERNELS = {
    "splash": {"forward": "splash_mha_fwd", "backward": "splash_mha_dkv",
               "without": "splash_mha_fwd"},
    "flash": {"forward": "flash_attention", "backward": "flash_mha_bwd",
              "without": "jvp_jit_flash_attention"},
    "paged": {"decode": "paged_attention"},
    "ragged": {"decode": "ragged_paged_attention"},
}

# Of what the compiler writes, some hundred MiB, what a listing is read from.
READ = re.compile(r"-\d+-(final_bundles|post-delay-converter|deduplication-map"
                  r"|final_hlo-static-per-bundle-utilization)\.txt$")


def clear():
    for name in os.listdir(DUMPS):
        os.unlink(os.path.join(DUMPS, name))


def compile_way(tpu, cell, way, directory):
    name, make, blocks = way
    function, arguments, inputs = make(tpu, cell, blocks)
    clear()
    tpu.jax.jit(function).lower(*arguments).compile()
    os.makedirs(directory, exist_ok=True)
    for file in os.listdir(DUMPS):
        if READ.search(file):
            shutil.move(os.path.join(DUMPS, file), directory)
    clear()
    with open(os.path.join(directory, "inputs.json"), "w") as out:
        json.dump(inputs, out)


def answer(question, state):
    if question.get("versions"):
        try:
            return {"versions": "jax " + importlib.metadata.version("jax")}
        except importlib.metadata.PackageNotFoundError:
            return {"skip": "no package jax in this Python"}
    cell, ways = question["cell"], ways_of(question["cell"])
    if question["way"] >= len(ways):
        return {"done": True}
    way = ways[question["way"]]
    names, backward = KERNELS[way[0]], cell["op"] == "backward"
    known = {"title": title(way[0], way[2]), "kernels": [names[cell["op"]]],
             "without": [names["without"]] if backward else []}
    try:
        if "tpu" not in state:
            state["tpu"] = Tpu()
        compile_way(state["tpu"], cell, way, question["directory"])
    except Exception as error:  # whatever JAX raises is an answer
        words = " ".join(str(error).split())
        return known | {"failed": f"{type(error).__name__}: {words}"[:200]}
    return known


def main():
    # What others print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    state = {}
    try:
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line), state)), file=answers,
                  flush=True)
    finally:
        shutil.rmtree(DUMPS, ignore_errors=True)


if __name__ == "__main__":
    main()
