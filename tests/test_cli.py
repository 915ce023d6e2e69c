"""pflash, the command: what it says and what it refuses.

    test_cli.py PFLASH              all tests
    test_cli.py PFLASH --rewrite    and writes what they compare with:
                                    tests/golden and the manual in docs
"""
import json
import os
import pathlib
import re
import resource
import signal
import struct
import subprocess
import unittest

import cli_case
import safetensors_io

TESTS = pathlib.Path(__file__).resolve().parent
GOLDEN = TESTS / "golden"
DOCS = TESTS.parent / "docs"
COLUMNS = 80


class Golden(cli_case.Case):
    def test_help(self):
        for name, *arguments in [("help", "--help"),
                                 ("run-help", "run", "--help"),
                                 ("compile-help", "compile", "--help"),
                                 ("schedule-help", "schedule", "--help"),
                                 ("tune-help", "tune", "--help"),
                                 ("bench-help", "bench", "--help"),
                                 ("info-help", "info", "--help")]:
            done = self.pflash(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for line in done.stdout.splitlines():
                self.assertLessEqual(len(line), COLUMNS, line)
            cli_case.compare_golden(self, GOLDEN / f"{name}.txt", done.stdout)

    def test_manual(self):
        for style, name in [("markdown", "cli.md"), ("man", "pflash.1")]:
            done = self.pflash("--manual", style)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            cli_case.compare_golden(self, DOCS / name, done.stdout)
        for line in self.pflash("--manual", "text").stdout.splitlines():
            self.assertLessEqual(len(line), COLUMNS, line)

    def test_usage(self):
        """Wrong usage: exit code 2, a message, nothing on standard output."""
        op = "run --op forward"
        files = "--in in.safetensors --out out.safetensors"
        tpu = "compile --op forward --shape 1,8,8,1024,1024,128 --emit mosaic"
        decode = tpu.replace("forward", "decode")
        self.write(self.qkv())
        before = self.files()
        transcript = []
        for line in [
                "rnu", "walk", "--hlep", "--version=1", "--manual pdf",
                "run", "run x", "run --casual", "run -causal", "run --frobnicate",
                "run --op", "run --op foward", f"run {files}", f"{op}",
                f"{op} --in in.safetensors", f"{op} --in --out out.safetensors",
                f"{op} --in= --out out.safetensors",
                f"{op} {files} --device gpu", f"{op} {files} --causal --causal",
                f"{op} {files} --chips 2", f"{op} {files} --seed 1",
                f"{op} {files} --device sim --isa avx2",
                f"{op} {files} --device sim --chips 5",
                f"{op} {files} --device sim --seed 0",
                f"{op} {files} --device tpu --threads 1",
                f"{op} {files} --device tpu --trace x",
                f"{op} {files} --causal=1", f"{op} {files} --window 3",
                f"{op} {files} --window 3,", f"{op} {files} --window -2,0",
                f"{op} {files} --window 1,2,3",
                f"{op} {files} --window 99999999999999999999,0",
                f"{op} {files} --scale nan", f"{op} {files} --scale 0",
                f"{op} {files} --scale 1e39", f"{op} {files} --scale 1x",
                f"{op} {files} --softcap inf", f"{op} {files} --softcap -1",
                f"{op} {files} --softcap 1e-60", f"{op} {files} --threads 0",
                f"{op} {files} --threads 1025", f"{op} {files} --threads 1.5",
                f"{op} {files} --threads 4294967297", f"{op} {files} --isa sse",
                f"{op} --in in.safetensors --out ./in.safetensors",
                "compile --op forward", "compile --out x --emit mosaic",
                f"{tpu}", f"{tpu} --out=", f"{tpu} --out - --json",
                f"{tpu.replace('mosaic', 'executable')} --out -",
                f"{tpu.replace('mosaic', 'listing')} --out -",
                f"{tpu.replace('mosaic', 'ptx')} --out x",
                f"{tpu.replace(',128', '')} --out x",
                f"{tpu.replace(',128', ',128,128,128')} --out x",
                f"{tpu.replace(',128', ',-1')} --out x",
                f"{tpu.replace(',128', ',')} --out x",
                f"{tpu.replace(',128', ',513')} --out x",
                f"{tpu.replace('8,8', '8,3')} --out x",
                f"{tpu.replace('1,8,8', '9000000000000000000,8,8')} --out x",
                f"{tpu} --out x --dtype int8", f"{tpu} --out x --dtype F32",
                f"{tpu} --out x --cache-dtype int8", f"{tpu} --out x --page 16",
                f"{decode} --out x --page 0", f"{decode} --out x --segments",
                f"{decode} --out x --cache-dtype f16",
                f"{tpu.replace('forward', 'backward')} --out x --lse",
                f"{tpu} --out x --target v9:2x2", f"{tpu} --out x --target v5e",
                f"{tpu} --out x --target v5e:2xx2", f"{tpu} --out x --target=",
                f"{tpu} --out x --chips 0", f"{tpu} --out x --chips 5",
                f"{tpu} --out x --chips 4 --target v5e:1x1",
                f"{tpu} --out x --tile block_q", f"{tpu} --out x --tile =3",
                f"{tpu} --out x --tile block_q=0", f"{tpu} --out x --tile q=1x",
                f"{tpu} --out x --tile {'q' * 40}=1",
                f"{tpu} --out x" + 9 * " --tile q=1",
                f"{tpu} --out x --timeout 0", f"{tpu} --out x --timeout 1e9",
                "bench --suite fast", "bench --device gpu", "bench --peer jix",
                "bench --device sim --html x", "bench --device sim --peer torch",
                "bench" + 17 * " --peer ./x", "bench --seed 0", "bench --json",
                "bench --html=", "bench --threads all", "bench --causal",
                "info --jsno", "info x"]:
            done = self.pflash(*line.split())
            self.assertEqual((done.returncode, done.stdout), (2, ""), line)
            transcript.append(f"$ pflash {line}\n{done.stderr}")
        self.assertEqual(before, self.files())
        cli_case.compare_golden(self, GOLDEN / "usage.txt", "\n".join(transcript))
        done = self.pflash()
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(done.stderr, self.pflash("--help").stdout)

    def test_version(self):
        done = self.pflash("--version")
        self.assertRegex(done.stdout, r"\Apflash \d+\.\d+\.\d+\n\Z")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_run(self):
        """What success looks like, but for the machine and the times."""
        transcript = []
        on_cpu = "--threads 1 --isa portable"
        tensors = self.qkv(Hq=4)
        tensors["do"] = tensors["q"]
        backward = dict(tensors, sinks=self.normal("F32", 4))
        for name, op, given in [
                ("forward", f"{on_cpu} --causal --window 2,-1", "qkv"),
                ("backward", f"{on_cpu} --softcap 5 --scale 0.3", backward),
                ("decode", on_cpu, "qkv"),
                ("forward", "--device sim", "qkv")]:
            self.write({key: tensors[key] for key in given}
                       if given == "qkv" else given)
            line = (f"run --op {name} --in in.safetensors --out "
                    f"out.safetensors {op}")
            for switch in ["", " --json"]:
                done = self.pflash(*(line + switch).split())
                self.assertEqual((done.returncode, done.stderr), (0, ""), line)
                masked = re.sub(r"(time +|and |rate +|_ms\": ?|per_s\": ?)[0-9.e+-]+",
                                r"\1#", done.stdout)
                transcript.append(f"$ pflash {line}{switch}\n{masked}")
        cli_case.compare_golden(self, GOLDEN / "run.txt", "\n".join(transcript))


def hostile_files(q, k, v):
    """Names and contents of files that are no safetensors files of forward."""
    good = safetensors_io.to_bytes({"q": q, "k": k, "v": v})
    size = struct.unpack("<Q", good[:8])[0]
    data = good[8 + size:]
    third = len(data) // 3

    def header(**changes):
        entries = {name: {"dtype": "F32", "shape": q[1],
                          "data_offsets": [i * third, (i + 1) * third]}
                   for i, name in enumerate("qkv")}
        for name, change in changes.items():
            entries[name].update(change)
        return safetensors_io.from_header(json.dumps(entries), data)
    return {
        "empty": b"",
        "seven-bytes": good[:7],
        "cut-header": good[:20],
        "cut-data": good[:-1],
        "trailing-byte": good + b"\0",
        "huge-header": struct.pack("<Q", 1 << 63) + good[8:],
        "no-json": safetensors_io.from_header("{\"q\": ", data),
        "no-object": safetensors_io.from_header("[]", data),
        "deep": safetensors_io.from_header('{"q":' * 100000, data),
        "twice": safetensors_io.from_header(
            json.dumps({"q": {"dtype": "F32", "shape": q[1],
                              "data_offsets": [0, third]}})[:-1] + ", " +
            json.dumps({"q": {"dtype": "F32", "shape": q[1],
                              "data_offsets": [third, 2 * third]}})[1:],
            data[:2 * third]),
        "overlap": header(v=dict(data_offsets=[third, 2 * third])),
        "out-of-range": header(v=dict(data_offsets=[1 << 62,
                                                    (1 << 62) + third])),
        "backwards": header(v=dict(data_offsets=[3 * third, 2 * third])),
        "negative-size": header(v=dict(shape=[1, 2, -3, -4])),
        "overflow": header(v=dict(shape=[1 << 40, 1 << 40, 3, 4])),
        "wrong-length": header(v=dict(shape=[1, 2, 3, 5])),
        "rank-9": header(v=dict(shape=[1, 1, 1, 1, 1, 1, 2, 3, 4])),
        "terminal": safetensors_io.to_bytes(
            {"q": q, "k": k, "v": v, "\x1b[2J": q}),
    }


class BadInput(cli_case.Case):
    """Exit code 1, a message that names the tensor, what it was and what it
    must be; an output file that is there stays as it was, and none appears."""

    def refuse(self, op, *options):
        """The message, with the folder's content compared around it."""
        messages = []
        for present in [False, True]:
            out = self.folder / "out.safetensors"
            if present:
                out.write_bytes(b"precious")
            before = self.files()
            done = self.pflash("run", "--op", op, "--in", "in.safetensors",
                               "--out", "out.safetensors", *options)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done)
            self.assertEqual(before, self.files())
            messages.append(done.stderr)
            if present:
                out.unlink()
        self.assertEqual(*messages)
        self.assertRegex(messages[0], r"\Apflash run: [^\n]+\n\Z")
        return messages[0]

    def transcript(self, name, cases):
        """`cases`: what is wrong, the op, the tensors."""
        lines = []
        for what, op, tensors in cases:
            self.write(tensors)
            lines.append(f"# {op}: {what}\n{self.refuse(op)}")
        cli_case.compare_golden(self, GOLDEN / name, "\n".join(lines))

    def test_forward(self):
        good = self.qkv(Hq=4)
        n = self.normal
        ids = self.integers("I32", 0, 1, 1, 3)
        self.transcript("bad-forward.txt", [
            (what, "forward", {name: tensor
                               for name, tensor in {**good, **change}.items()
                               if tensor})
            for what, change in [
                ("no q", dict(q=None)), ("no v", dict(v=None)),
                ("nothing", dict(q=None, k=None, v=None)),
                ("one too many", dict(bias=n("F32", 3))),
                ("a typing error", dict(kv_segment_idz=ids)),
                ("backward's", dict(do=good["q"])),
                ("F64", {name: ("F64", *good[name][1:]) for name in good}),
                ("two dtypes", dict(k=n("BF16", 1, 2, 3, 4))),
                ("int8", dict(k=self.integers("I8", 0, 9, 1, 2, 3, 4))),
                ("rank 3", dict(q=n("F32", 4, 3, 4))),
                ("rank 5", dict(v=n("F32", 1, 1, 2, 3, 4))),
                ("rank 0", dict(v=n("F32"))),
                ("another batch", dict(k=n("F32", 2, 2, 3, 4))),
                ("another D", dict(k=n("F32", 1, 2, 3, 5))),
                ("another Sk", dict(v=n("F32", 1, 2, 4, 4))),
                ("another Hkv", dict(v=n("F32", 1, 4, 3, 4))),
                ("Hq no multiple of Hkv", dict(k=n("F32", 1, 3, 3, 4),
                                               v=n("F32", 1, 3, 3, 4))),
                ("Hq without Hkv", dict(k=n("F32", 1, 0, 3, 4),
                                        v=n("F32", 1, 0, 3, 4))),
                ("D = 513", dict(q=n("F32", 1, 4, 3, 513),
                                 k=n("F32", 1, 2, 3, 513))),
                ("D = 0", dict(q=n("F32", 1, 4, 3, 0),
                               k=n("F32", 1, 2, 3, 0))),
                ("Dv = 0", dict(v=n("F32", 1, 2, 3, 0))),
                ("segment ids of one side", dict(q_segment_ids=ids)),
                ("of the other", dict(kv_segment_ids=ids)),
                ("segment ids in I64", dict(
                    q_segment_ids=ids, kv_segment_ids=("I64", *ids[1:]))),
                ("segment ids too long", dict(
                    q_segment_ids=ids,
                    kv_segment_ids=self.integers("I32", 0, 1, 1, 4))),
                ("sinks for Hkv", dict(sinks=n("F32", 2))),
                ("integer sinks", dict(sinks=self.integers("I32", 0, 1, 4))),
            ]])

    def test_backward(self):
        good = dict(self.qkv(Hq=4), do=self.normal("F32", 1, 4, 3, 4))
        n = self.normal
        self.transcript("bad-backward.txt", [
            (what, "backward", {name: tensor
                                for name, tensor in {**good, **change}.items()
                                if tensor})
            for what, change in [
                ("no do", dict(do=None)),
                ("do as long as k", dict(do=n("F32", 1, 2, 3, 4))),
                ("do in another dtype", dict(do=n("F16", 1, 4, 3, 4))),
                ("o without lse", dict(o=good["do"])),
                ("lse without o", dict(lse=n("F32", 1, 4, 3))),
                ("lse of another dtype", dict(o=good["do"],
                                              lse=n("BF16", 1, 4, 3))),
                ("lse of another shape", dict(o=good["do"],
                                              lse=n("F32", 1, 4, 3, 1))),
                ("decode's", dict(lengths=self.integers("I32", 3, 3, 1))),
            ]])

    def test_decode(self):
        n, i = self.normal, self.integers
        good = dict(q=n("F32", 2, 4, 1, 4), k=n("F32", 2, 2, 8, 4),
                    v=n("F32", 2, 2, 8, 4), lengths=i("I32", 8, 8, 2))
        int8 = dict(k=i("I8", -9, 9, 2, 2, 8, 4), v=i("I8", -9, 9, 2, 2, 8, 4))
        scales = dict(k_scale=n("F32", 2, 2, 8), v_scale=n("F32", 2, 2, 8))
        self.transcript("bad-decode.txt", [
            (what, "decode", {name: tensor
                              for name, tensor in {**good, **change}.items()
                              if tensor})
            for what, change in [
                ("no k", dict(k=None)),
                ("no query", dict(q=n("F32", 2, 4, 0, 4))),
                ("no room", dict(k=n("F32", 2, 2, 0, 4),
                                 v=n("F32", 2, 2, 0, 4))),
                ("v in another dtype", int8 | dict(v=good["v"])),
                ("a cache in F16", dict(k=n("F16", 2, 2, 8, 4))),
                ("int8 without scales", int8),
                ("int8 without v_scale", int8 | scales | dict(v_scale=None)),
                ("scales without int8", scales),
                ("scales of another shape",
                 int8 | scales | dict(k_scale=n("F32", 2, 2, 8, 1))),
                ("a length beyond Smax",
                 dict(lengths=("I32", [2], [8, 9]))),
                ("a negative length", dict(lengths=("I32", [2], [-1, 8]))),
                ("lengths in I64", dict(lengths=("I64", [2], [8, 8]))),
                ("too few lengths", dict(lengths=("I32", [1], [8]))),
                ("sinks for Hkv", dict(sinks=n("F32", 2))),
                ("segment ids", dict(q_segment_ids=i("I32", 0, 1, 2, 1))),
            ]])

    def test_paged_decode(self):
        n, i = self.normal, self.integers
        good = dict(q=n("F32", 2, 4, 1, 4), k_pages=n("F32", 5, 2, 4, 4),
                    v_pages=n("F32", 5, 2, 4, 4),
                    block_table=("I32", [2, 2], [0, 1, 4, 3]),
                    lengths=i("I32", 8, 8, 2))
        self.transcript("bad-paged.txt", [
            (what, "decode", {name: tensor
                              for name, tensor in {**good, **change}.items()
                              if tensor})
            for what, change in [
                ("no v_pages", dict(v_pages=None)),
                ("no block_table", dict(block_table=None)),
                ("no lengths", dict(lengths=None)),
                ("k beside k_pages", dict(k=n("F32", 2, 2, 8, 4))),
                ("an entry beyond the pages",
                 dict(block_table=("I32", [2, 2], [0, 1, 4, 5]))),
                ("a negative entry",
                 dict(block_table=("I32", [2, 2], [0, -1, 4, 3]))),
                ("a length beyond the table",
                 dict(lengths=("I32", [2], [8, 9]))),
                ("a table of another batch",
                 dict(block_table=("I32", [1, 4], [0, 1, 4, 3]))),
                ("a table in I64",
                 dict(block_table=("I64", [2, 2], [0, 1, 4, 3]))),
                ("pages of other lengths",
                 dict(v_pages=n("F32", 5, 2, 5, 4))),
                ("empty pages", dict(k_pages=n("F32", 5, 2, 0, 4),
                                     v_pages=n("F32", 5, 2, 0, 4))),
            ]])

    def test_files(self):
        lines = []
        for name, content in hostile_files(**self.qkv()).items():
            (self.folder / "in.safetensors").write_bytes(content)
            lines.append(f"# {name}\n{self.refuse('forward')}")
        cli_case.compare_golden(self, GOLDEN / "bad-files.txt", "\n".join(lines))

    def test_every_cut(self):
        """A file cut anywhere, or one byte of its header changed, is refused
        or computed, and never anything else."""
        self.write(self.qkv())
        good = (self.folder / "in.safetensors").read_bytes()
        size = struct.unpack("<Q", good[:8])[0]
        for _ in range(60):
            content = bytearray(good)
            if self.random.random() < 0.5:
                del content[self.random.randrange(len(content)):]
            else:
                content[self.random.randrange(8 + size)] = \
                    self.random.randrange(256)
            (self.folder / "in.safetensors").write_bytes(content)
            done = self.pflash("run", "--op", "forward", "--in",
                               "in.safetensors", "--out", "out.safetensors")
            self.assertIn(done.returncode, [0, 1], (done, bytes(content)))

    def test_paths(self):
        """Paths that cannot be read or written, told before the work."""
        self.write(self.qkv())
        (self.folder / "folder").mkdir()
        os.mkfifo(self.folder / "pipe")
        lines = []
        for given, out in [("missing", "out"), ("folder", "out"),
                           ("pipe", "out"), ("/dev/zero", "out"),
                           ("in.safetensors/x", "out"),
                           ("in.safetensors", "missing/out"),
                           ("in.safetensors", "folder"),
                           ("in.safetensors", "pipe"),
                           ("in.safetensors", "/dev/full"),
                           ("in.safetensors", "in.safetensors/x"),
                           ("in.safetensors", "folder/")]:
            before = self.files()
            done = self.pflash("run", "--op", "forward", "--in", given, "--out",
                               out)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done)
            self.assertEqual(before, self.files())
            lines.append(f"$ pflash run --op forward --in {given} --out {out}\n"
                         f"{done.stderr}")
        cli_case.compare_golden(self, GOLDEN / "bad-paths.txt", "\n".join(lines))

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_unwritable_folder(self):
        self.write(self.qkv())
        (self.folder / "folder").mkdir(mode=0o555)
        done = self.pflash("run", "--op", "forward", "--in", "in.safetensors",
                           "--out", "folder/out")
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.assertIn("Permission denied", done.stderr)

    def test_full_disk(self):
        """A file that cannot grow: nothing is left, nothing is changed."""
        self.write(self.qkv(Sq=64, Sk=64, D=32))

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        message = None
        for present in [False, True]:
            if present:
                (self.folder / "out.safetensors").write_bytes(b"precious")
            before = self.files()
            done = self.pflash("run", "--op", "forward", "--in",
                               "in.safetensors", "--out", "out.safetensors",
                               preexec_fn=limit, restore_signals=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done)
            self.assertEqual(before, self.files())
            message = done.stderr
        self.assertIn("--out: cannot write", message)

    def test_environment(self):
        self.write(self.qkv())
        for command in [["info"], ["run", "--op", "forward", "--in",
                                   "in.safetensors", "--out", "out"]]:
            done = self.pflash(*command, environment={"PFLASH_ISA": "sse"})
            self.assertEqual((done.returncode, done.stdout), (1, ""), done)
            self.assertIn("PFLASH_ISA is", done.stderr)
            self.assertIn("sse", done.stderr)


class Output(cli_case.Case):
    """Where results go, and what happens when nobody takes them."""
    RUN = ["run", "--op", "forward", "--in", "in.safetensors", "--out",
           "out.safetensors"]

    def setUp(self):
        super().setUp()
        self.write(self.qkv())

    def test_json(self):
        done = self.pflash(*self.RUN, "--json", "--causal", "--window", "-1,5")
        found = json.loads(done.stdout)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(found["op"], "forward")
        self.assertEqual(found["window"], [-1, 5])
        self.assertIs(found["causal"], True)
        self.assertEqual(found["scale"], 0.5)
        self.assertGreater(found["time_first_call_ms"], 0)
        self.assertEqual(found["flops"], 4 * 2 * 3 * 3 * 4 / 2)
        self.assertEqual(found["out_tensors"]["o"],
                         {"dtype": "F32", "shape": [1, 2, 3, 4]})
        self.assertAlmostEqual(
            found["gflop_per_s"],
            found["flops"] / found["time_first_call_ms"] / 1e6)

    def test_decode_json(self):
        for dtype, extra in [("F32", {}), ("I8", {
                name: self.normal("F32", 1, 2, 8)
                for name in ["k_scale", "v_scale"]})]:
            cache = (self.integers("I8", -9, 9, 1, 2, 8, 4) if extra else
                     self.normal(dtype, 1, 2, 8, 4))
            self.write(dict(q=self.normal("F32", 1, 2, 1, 4), k=cache, v=cache,
                            lengths=("I32", [1], [5]), **extra))
            done = self.pflash("run", "--op", "decode", *self.RUN[3:], "--json")
            self.assertEqual(
                json.loads(done.stdout)["cache_bytes"],
                5 * 2 * (8 * (1 if extra else 4) + (8 if extra else 0)))

    def test_info(self):
        done = self.pflash("info", "--json")
        found = json.loads(done.stdout)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(found["isas"][0], "portable")
        self.assertEqual(found["isa"], found["isas"][-1])
        self.assertGreater(found["memory_bytes"], 1 << 20)
        self.assertEqual(found["threads"], len(os.sched_getaffinity(0)))
        text = self.pflash("info").stdout
        for key in ["version", "cpu", "isa"]:
            self.assertIn(found[key], text)
        done = self.pflash("info", "--json",
                           environment={"PFLASH_ISA": "portable"})
        self.assertEqual(json.loads(done.stdout)["isa"], "portable")

    def test_info_devices(self):
        """What programs can run on: the simulator, and a TPU."""
        plugin = pathlib.Path(cli_case.program).parent / "libpflash_sim.so"
        found = json.loads(self.pflash("info", "--json").stdout)
        self.assertEqual(found["simulator"], str(plugin))
        self.assertIn(found["tpu"], [False, True])
        text = self.pflash("info", environment={
            "PFLASH_SIM_PLUGIN": "/none", "PFLASH_PJRT_PLUGIN": str(plugin)}).stdout
        self.assertIn("sim      none: PFLASH_SIM_PLUGIN is /none", text)
        self.assertIn("tpu      there is one\n", text)

    def test_info_compiler(self):
        """Where libtpu and the cache are, and what to do without."""
        package = self.folder / "site-packages/libtpu"
        package.mkdir(parents=True)
        (package / "libtpu.so").write_bytes(b"")
        (self.folder / "site-packages/libtpu-1.2.3.dist-info").mkdir()
        cache = self.folder / "cache"
        there = {"PFLASH_LIBTPU": str(package / "libtpu.so"),
                 "PFLASH_CACHE": str(cache)}
        found = json.loads(self.pflash("info", "--json",
                                       environment=there).stdout)
        self.assertEqual(found["libtpu"], {"path": there["PFLASH_LIBTPU"],
                                           "version": "1.2.3"})
        self.assertEqual(found["cache"],
                         {"path": str(cache), "files": 0, "bytes": 0})
        cache.mkdir()
        (cache / "a").write_bytes(bytes(2048))
        text = self.pflash("info", environment=there).stdout
        self.assertIn(f"libtpu   1.2.3, {package}/libtpu.so\n", text)
        self.assertIn(f"cache    {cache}, 1 file, 2 KiB\n", text)
        none = {"PFLASH_LIBTPU": "/none", "PFLASH_CACHE": ""}
        done = self.pflash("info", environment=none)
        self.assertEqual(done.returncode, 0)
        self.assertIn("libtpu   none: PFLASH_LIBTPU is /none: must be a plugin "
                      "that can be read\n", done.stdout)
        self.assertTrue(done.stdout.endswith("cache    none\n"))
        found = json.loads(self.pflash("info", "--json",
                                       environment=none).stdout)
        self.assertEqual((found["libtpu"], found["cache"]), (None, None))
        self.assertIn("/none", found["libtpu_missing"])

    def test_bench(self):
        """A benchmark in small: a table, and the reports where they were asked
        for, which know the command line."""
        done = self.pflash("bench", "--list")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("suite quick", done.stdout)
        done = self.pflash("bench", "--suite", "smoke", "--threads", "1",
                           "--seed=7", "--isa", "portable", "--json",
                           "a report.json", "--html", "report.html")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, "suite smoke, portable kernels, seed 7")
        self.assertRegex(done.stderr, "bench: 1 of ")
        self.assertEqual(set(self.files()), {"in.safetensors", "a report.json",
                                             "report.html"})
        report = json.loads(self.files()["a report.json"])
        self.assertIn("--json 'a report.json' --html", json.dumps(report))

    def test_bench_paths(self):
        """Told before anything is measured."""
        for switch in ["--json", "--html"]:
            done = self.pflash("bench", "--suite", "smoke", switch, "no/x")
            self.assertEqual((done.returncode, done.stdout), (1, ""), done)
            self.assertRegex(done.stderr, r"\Apflash bench: .*no/x[^\n]*\n\Z")

    def test_strange_path(self):
        name = "\N{SNOWMAN} \"quoted\" \\ --x\n.safetensors"
        done = self.pflash(*self.RUN[:5], f"--out={name}", "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(json.loads(done.stdout)["out"], name)
        self.assertEqual(set(self.read(name)), {"o", "lse"})

    def test_elsewhere(self):
        """Paths are those of where it is run."""
        (self.folder / "deep").mkdir()
        done = subprocess.run(
            [cli_case.program, "run", "--op", "forward", "--in", "../in.safetensors",
             "--out", "out.safetensors"], cwd=self.folder / "deep",
            stdout=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(set(self.read("deep/out.safetensors")), {"o", "lse"})

    def test_overwrites(self):
        """An older output is replaced, through a link too; nothing else is."""
        (self.folder / "real").write_bytes(b"old")
        (self.folder / "out.safetensors").symlink_to("real")
        self.assertEqual(self.pflash(*self.RUN).returncode, 0)
        self.assertTrue((self.folder / "out.safetensors").is_symlink())
        self.assertEqual(set(self.read("real")), {"o", "lse"})
        self.assertEqual(set(self.files()),
                         {"in.safetensors", "out.safetensors", "real"})

    def test_same_file(self):
        before = self.files()
        (self.folder / "link").symlink_to("in.safetensors")
        os.link(self.folder / "in.safetensors", self.folder / "hard")
        for out in ["in.safetensors", "./in.safetensors", "link", "hard"]:
            done = self.pflash(*self.RUN[:5], "--out", out)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("must be another file than --in", done.stderr)
        self.assertEqual(before["in.safetensors"],
                         self.files()["in.safetensors"])

    def test_nobody_reads(self):
        """A reader that went away ends it, after the file is written."""
        for arguments in [self.RUN, ["--help"], ["info", "--json"]]:
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run([cli_case.program, *arguments], cwd=self.folder,
                                  stdout=writer, stderr=subprocess.PIPE,
                                  timeout=60)
            os.close(writer)
            self.assertEqual((done.returncode, done.stderr),
                             (-signal.SIGPIPE, b""))
        self.assertEqual(set(self.read()), {"o", "lse"})

    def test_output_lost(self):
        """Results that cannot be printed are a failure."""
        for arguments in [self.RUN, ["--help"], ["--version"],
                          ["info", "--json"]]:
            with open("/dev/full", "wb") as full:
                done = subprocess.run([cli_case.program, *arguments], cwd=self.folder,
                                      stdout=full, stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn(b"standard output cannot be written: No space",
                          done.stderr)

    def test_closed(self):
        """Without standard streams the file is still what it should be."""
        self.assertEqual(self.pflash(*self.RUN).returncode, 0)
        expected = self.files()["out.safetensors"]
        for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]:
            os.unlink(self.folder / "out.safetensors")
            subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", cli_case.program,
                            *self.RUN], cwd=self.folder,
                           stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            self.assertEqual(self.files()["out.safetensors"], expected, closed)


if __name__ == "__main__":
    cli_case.main()
