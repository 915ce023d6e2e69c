"""pflash run: every number it writes, against plain Python in fp64.

    test_cli_results.py PFLASH
"""
import json
import pathlib
import unittest

import attention_fp64
import cli_case


class Checks(cli_case.Case):
    """An op run and every number held against fp64, within attention_fp64's
    bounds."""

    def check(self, name, found, shape, dtype, expected):
        values, errors = expected
        self.assertEqual(found[:2], (dtype, shape), name)
        for index, (x, y, error) in enumerate(zip(found[2], values, errors)):
            good = x == y or abs(x - y) <= 1.1 * error
            self.assertTrue(good, f"{name}[{index}] is {x}: must be {y} "
                            f"within {error}")

    def run_op(self, op, tensors, causal=False, window=None, softcap=0,
               scale=None, arguments=()):
        self.write(tensors)
        options = ["--causal"] * causal
        if window:
            options += ["--window", "{},{}".format(*window)]
        if softcap:
            options += ["--softcap", softcap]
        if scale is not None:
            options += ["--scale", scale]
        done = self.pflash("run", "--op", op, "--in", "in.safetensors", "--out",
                           "out.safetensors", *options, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return self.read()

    def forward(self, tensors, arguments=(), **options):
        found = self.run_op("forward", tensors, arguments=arguments, **options)
        expected = attention_fp64.forward(tensors, **options)
        dtype, shape, _ = tensors["q"]
        self.assertEqual(set(found), {"o", "lse"})
        self.check("o", found["o"], shape[:3] + tensors["v"][1][3:], dtype,
                   expected["o"])
        self.check("lse", found["lse"], shape[:3], "F32", expected["lse"])
        return found

    def backward(self, tensors, arguments=(), **options):
        found = self.run_op("backward", tensors, arguments=arguments,
                            **options)
        expected = attention_fp64.backward(tensors, **options)
        self.assertEqual(set(found), set(expected))
        dtype = tensors["q"][0]
        for name in expected:
            like = name[1:] if name != "dsinks" else "sinks"
            self.check(name, found[name], tensors[like][1],
                       dtype if name != "dsinks" else "F32", expected[name])
        return found

    def decode(self, tensors, arguments=(), **options):
        found = self.run_op("decode", tensors, arguments=arguments, **options)
        expected = attention_fp64.decode(tensors, **options)
        dtype, shape, _ = tensors["q"]
        width = tensors["v_pages" if "v_pages" in tensors else "v"][1][3]
        self.check("o", found["o"], shape[:3] + [width], dtype, expected["o"])
        self.check("lse", found["lse"], shape[:3], "F32", expected["lse"])

    def gradient_case(self, dtype="F32", sinks=None, **sizes):
        tensors = self.qkv(dtype, **sizes)
        shape = tensors["q"][1][:3] + tensors["v"][1][3:]
        tensors["do"] = self.normal(dtype, *shape)
        if sinks:
            tensors["sinks"] = self.normal(sinks, shape[1])
        return tensors

    SIZES = dict(B=2, Hq=4, Hkv=2, Sq=9, Sk=13, D=8, Dv=5)
    OPTIONS = [dict(), dict(causal=True), dict(window=(3, 1)),
               dict(window=(2, -1), causal=True), dict(softcap=1.5),
               dict(scale=-0.7), dict(causal=True, softcap=0.9, scale=1.3)]


class Results(Checks):
    def test_forward(self):
        for dtype in ["F32", "BF16", "F16"]:
            for options in self.OPTIONS:
                with self.subTest(dtype=dtype, **options):
                    self.forward(self.qkv(dtype, **self.SIZES), **options)

    def test_forward_segments_and_sinks(self):
        for dtype in ["F32", "BF16"]:
            for sinks in [None, "F32", "BF16", "F16"]:
                tensors = self.qkv(dtype, **self.SIZES)
                tensors["q_segment_ids"] = self.integers("I32", 0, 3, 2, 9)
                tensors["kv_segment_ids"] = self.integers("I32", 0, 2, 2, 13)
                if sinks:
                    tensors["sinks"] = self.normal(sinks, 4)
                with self.subTest(dtype=dtype, sinks=sinks):
                    self.forward(tensors, causal=True)

    def test_backward(self):
        for dtype in ["F32", "BF16", "F16"]:
            for options in self.OPTIONS:
                with self.subTest(dtype=dtype, **options):
                    self.backward(self.gradient_case(dtype, **self.SIZES),
                                  **options)

    def test_backward_sinks_and_segments(self):
        for dtype in ["F32", "BF16"]:
            tensors = self.gradient_case(dtype, "F32", **self.SIZES)
            tensors["q_segment_ids"] = self.integers("I32", 0, 3, 2, 9)
            tensors["kv_segment_ids"] = self.integers("I32", 0, 2, 2, 13)
            with self.subTest(dtype=dtype):
                self.backward(tensors)

    def test_backward_given_o(self):
        """o and lse from a forward run give the very same gradients."""
        for dtype in ["F32", "BF16"]:
            tensors = self.gradient_case(dtype, **self.SIZES)
            alone = self.backward(tensors, causal=True)
            forward = self.run_op(
                "forward", {name: tensors[name] for name in "qkv"},
                causal=True)
            both = self.run_op("backward", {**tensors, **forward}, causal=True)
            self.assertEqual(alone, both)

    def test_shapes(self):
        """Nothing to do, one of everything, primes, more than a tile."""
        for sizes in [dict(B=0), dict(Sq=0), dict(Sk=0), dict(Hq=0, Hkv=0),
                      dict(Hq=1, Hkv=1, Sq=1, Sk=1, D=1),
                      dict(Hq=3, Hkv=1, Sq=17, Sk=5, D=19),
                      dict(Hq=1, Hkv=1, Sq=67, Sk=131, D=3, Dv=33)]:
            with self.subTest(**sizes):
                self.forward(self.qkv(**sizes), causal=True)
                tensors = self.gradient_case(**sizes)
                if tensors["q"][2] and tensors["k"][2]:
                    self.backward(tensors, causal=True)
                else:
                    found = self.run_op("backward", tensors, causal=True)
                    for name in "qkv":
                        self.assertEqual(
                            found["d" + name],
                            (*tensors[name][:2], [0.0] * len(tensors[name][2])))

    def test_large_scores(self):
        """Scores of +-1e3: a wrong running maximum cannot hide."""
        tensors = self.qkv(Hq=1, Hkv=1, Sq=5, Sk=300, D=8)
        self.forward(tensors, scale=120)
        self.forward(tensors, scale=1e-30)

    def test_decode(self):
        for dtype in ["F32", "BF16", "F16"]:
            for T, options in [(1, {}), (3, {}), (1, dict(window=(4, 0))),
                               (2, dict(softcap=1.5, scale=0.9))]:
                tensors = dict(q=self.normal(dtype, 3, 4, T, 8),
                               k=self.normal(dtype, 3, 2, 21, 8),
                               v=self.normal(dtype, 3, 2, 21, 5),
                               sinks=self.normal("F32", 4))
                with self.subTest(dtype=dtype, T=T, **options):
                    self.decode(tensors, **options)
                    tensors["lengths"] = ("I32", [3], [0, 2, 20])
                    self.decode(tensors, **options)

    def paged_case(self, dtype, T, int8):
        def cache(width):
            if int8:
                return self.integers("I8", -127, 127, 9, 2, 4, width)
            return self.normal(dtype, 9, 2, 4, width)
        pages = list(range(9))
        self.random.shuffle(pages)
        # the last page of each sequence is not in use, and no page
        table = pages[:3] + [77] + pages[3:6] + [-1]
        tensors = dict(q=self.normal(dtype, 2, 4, T, 8), k_pages=cache(8),
                       v_pages=cache(6), block_table=("I32", [2, 4], table),
                       lengths=("I32", [2], [11, 5]))
        if int8:
            for name in ["k_scale", "v_scale"]:
                scale = self.normal("F32", 9, 2, 4, scale=0.01)
                tensors[name] = scale
        return tensors

    def test_paged_decode(self):
        for dtype in ["F32", "BF16"]:
            for int8 in [False, True]:
                for T in [1, 2]:
                    with self.subTest(dtype=dtype, int8=int8, T=T):
                        self.decode(self.paged_case(dtype, T, int8))

    def test_int8_decode(self):
        tensors = dict(q=self.normal("F32", 2, 4, 1, 8),
                       k=self.integers("I8", -127, 127, 2, 2, 19, 8),
                       v=self.integers("I8", -127, 127, 2, 2, 19, 8),
                       k_scale=self.normal("F32", 2, 2, 19, scale=0.01),
                       v_scale=self.normal("F32", 2, 2, 19, scale=0.01))
        self.decode(tensors)

    def test_kernels(self):
        """Every kind of kernel that this CPU has; one that it has not is a
        clear error."""
        found = json.loads(self.pflash("info", "--json").stdout)["isas"]
        tensors = {dtype: self.gradient_case(dtype, Hq=2, Hkv=1, Sq=33, Sk=35,
                                             D=24)
                   for dtype in ["F32", "BF16"]}
        for isa in ["portable", "avx2", "avx512", "avx512bf16"]:
            if isa not in found:
                done = self.pflash("run", "--op", "backward", "--in",
                                   "in.safetensors", "--out",
                                   "out.safetensors", "--isa", isa)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn(isa, done.stderr)
                continue
            for dtype in tensors:
                with self.subTest(isa=isa, dtype=dtype):
                    self.backward(tensors[dtype], ["--isa", isa], causal=True)

    def test_threads(self):
        """The results do not depend on the number of threads."""
        tensors = self.gradient_case(Hq=4, Hkv=1, Sq=70, Sk=40, D=8)
        found = [self.run_op("backward", tensors,
                             arguments=["--threads", threads])
                 for threads in [1, 2, 7]]
        self.assertEqual(found[0], found[1])
        self.assertEqual(found[0], found[2])


class Simulated(Checks):
    """The TPU's kernels on simulated chips, within the same bounds."""

    ON_SIM = ["--device", "sim"]

    def test_forward(self):
        for dtype in ["F32", "BF16"]:
            for options in self.OPTIONS:
                with self.subTest(dtype=dtype, **options):
                    self.forward(self.qkv(dtype, **self.SIZES), self.ON_SIM,
                                 **options)
            self.forward(self.qkv(dtype, Hq=2, Hkv=1, Sq=20, Sk=150, D=64),
                         self.ON_SIM, causal=True)

    def test_backward(self):
        """With o and lse from the file, and without; sinks and segments."""
        for dtype in ["F32", "BF16"]:
            for options in [dict(), dict(causal=True, softcap=1.5),
                            dict(window=(3, 1))]:
                tensors = self.gradient_case(dtype, **self.SIZES)
                with self.subTest(dtype=dtype, **options):
                    found = self.backward(tensors, self.ON_SIM, **options)
                    given = self.run_op(
                        "forward", {name: tensors[name] for name in "qkv"},
                        arguments=self.ON_SIM, **options)
                    self.assertEqual(found, self.backward(
                        {**tensors, **given}, self.ON_SIM, **options))
            tensors = self.gradient_case(dtype, "BF16", **self.SIZES)
            tensors["q_segment_ids"] = self.integers("I32", 0, 3, 2, 9)
            tensors["kv_segment_ids"] = self.integers("I32", 0, 2, 2, 13)
            with self.subTest(dtype=dtype, sinks=True):
                self.backward(tensors, self.ON_SIM)

    def test_decode(self):
        for dtype in ["F32", "BF16"]:
            for chips, T, options in [(1, 1, {}), (4, 1, {}),
                                      (4, 3, dict(softcap=1.5, scale=0.9)),
                                      (1, 2, dict(window=(40, 0)))]:
                tensors = dict(q=self.normal(dtype, 2, 2, T, 128),
                               k=self.normal(dtype, 2, 1, 200, 128),
                               v=self.normal(dtype, 2, 1, 200, 128))
                on_sim = [*self.ON_SIM, "--chips", chips]
                with self.subTest(dtype=dtype, chips=chips, T=T, **options):
                    self.decode(tensors, on_sim, **options)
                    tensors["lengths"] = ("I32", [2], [1 + T, 170])
                    self.decode(tensors, on_sim, **options)

    def test_int8_decode(self):
        """Queries in F32, which the kernel need not quantise."""
        for chips in [1, 4]:
            tensors = dict(q=self.normal("F32", 1, 4, 1, 128),
                           k=self.integers("I8", -127, 127, 1, 2, 190, 128),
                           v=self.integers("I8", -127, 127, 1, 2, 190, 128),
                           k_scale=self.normal("F32", 1, 2, 190, scale=0.01),
                           v_scale=self.normal("F32", 1, 2, 190, scale=0.01))
            with self.subTest(chips=chips):
                self.decode(tensors, [*self.ON_SIM, "--chips", chips])

    def test_seed(self):
        """No result depends on what the chips do to trip a kernel up."""
        tensors = dict(q=self.normal("BF16", 1, 8, 1, 128),
                       k=self.normal("BF16", 1, 2, 600, 128),
                       v=self.normal("BF16", 1, 2, 600, 128))
        found = [self.run_op("decode", tensors,
                             arguments=[*self.ON_SIM, "--chips", 4, "--seed",
                                        seed, "--threads", threads])
                 for seed, threads in [(1, 1), (2, 2), (987654321, 4)]]
        self.assertEqual(found[0], found[1])
        self.assertEqual(found[0], found[2])

    def test_trace(self):
        """Cores, DMAs and links of four chips, with the kernel's lines."""
        tensors = dict(q=self.normal("BF16", 1, 8, 1, 128),
                       k=self.normal("BF16", 1, 2, 600, 128),
                       v=self.normal("BF16", 1, 2, 600, 128))
        self.run_op("decode", tensors, arguments=[
            *self.ON_SIM, "--chips", 4, "--trace", "t.json"])
        events = json.loads((self.folder / "t.json").read_text())
        tracks = {(event["pid"], event["tid"]): event["args"]["name"]
                  for event in events if event["name"] == "thread_name"}
        found = {(event["pid"], tracks[event["pid"], event["tid"]])
                 for event in events if event["ph"] == "X"}
        self.assertEqual(found, {
            (chip, track) for chip in range(4)
            for track in ["core", "DMA", f"link to chip {chip ^ 1}",
                          f"link to chip {chip ^ 2}"]})
        places = [event["args"] for event in events
                  if event["ph"] == "X" and "file" in event["args"]]
        self.assertTrue(places)
        for place in places:
            self.assertRegex(place["file"], r"src/kernels/\w+\.c$")
            self.assertGreater(place["line"], 0)

    def test_hazard(self):
        """Named with the op, the line of the kernel and the seed."""
        self.write(self.qkv("BF16", Hq=2, Hkv=2, Sq=40, Sk=40, D=64))
        done = self.pflash("run", "--op", "forward", "--device", "sim", "--in",
                           "in.safetensors", "--out", "out.safetensors",
                           "--seed", 77, environment={
                               "PFLASH_SIM_STEP_LIMIT": "50"})
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"endless: [\w.]+ at \S*src/kernels/\w+\.c:"
                         r"\d+, chip 0: .*seed 77")
        self.assertNotIn("out.safetensors", self.files())

    def test_same_way(self):
        """tpu goes the way of sim: here with sim's plugin in libtpu's place."""
        tensors = self.qkv("BF16", Hq=2, Hkv=2, Sq=40, Sk=40, D=64)
        self.forward(tensors, self.ON_SIM, causal=True)
        simulated = self.read()
        plugin = pathlib.Path(cli_case.program).parent / "libpflash_sim.so"
        done = self.pflash("run", "--op", "forward", "--causal", "--device",
                           "tpu", "--in", "in.safetensors", "--out",
                           "out.safetensors", "--json",
                           environment={"PFLASH_PJRT_PLUGIN": str(plugin)})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(simulated, self.read())
        said = json.loads(done.stdout)
        self.assertEqual((said["device"], said["chips"], said["topology"]),
                         ("tpu", 1, "v5e:2x2"))

    @unittest.skipIf(pathlib.Path("/dev/accel0").exists() or
                     pathlib.Path("/dev/vfio/0").exists(), "there is a TPU")
    def test_no_tpu(self):
        self.write(self.qkv())
        done = self.pflash("run", "--op", "forward", "--device", "tpu", "--in",
                           "in.safetensors", "--out", "out.safetensors")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("this machine has no TPU", done.stderr)
        self.assertNotIn("out.safetensors", self.files())

    def test_bench(self):
        """The rows of a suite, on one chip and four; a hazard fails it."""
        bench = ["bench", "--device", "sim", "--suite", "smoke"]
        done = self.pflash(*bench, "--seed", 3)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        head, *rows, total = done.stdout.splitlines()
        self.assertIn("nothing of it timed", head)
        self.assertRegex(total, fr"^{len(rows)} rows, \d+ without a kernel, 0 wrong$")
        right = [row for row in rows if row.endswith("right")]
        self.assertGreater(len(right), len(rows) // 2)
        self.assertTrue(all(row in right or "no kernel: " in row
                            for row in rows), done.stdout)
        done = self.pflash(*bench, environment={"PFLASH_SIM_STEP_LIMIT": "9"})
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout.count("HAZARD: "), len(right))
        self.assertIn(f"{len(right)} of {len(rows)} simulated rows are wrong",
                      done.stderr)

    def test_failures(self):
        """What there is no kernel for, no plugin, a trace that cannot be."""
        tensors = self.qkv("F16")
        self.write(tensors)
        for environment, arguments, message in [
                ({}, [], "dtype is f16"),
                ({"PFLASH_SIM_PLUGIN": "/nowhere.so"}, [],
                 "PFLASH_SIM_PLUGIN is /nowhere.so"),
                ({"PFLASH_SIM_PLUGIN": "/dev/null"}, [], "cannot load a plugin"),
                ({"PFLASH_SIM_SEED": "x"}, [], "PFLASH_SIM_SEED is \"x\""),
                ({}, ["--trace", "/no/where"], "cannot be written")]:
            done = self.pflash("run", "--op", "forward", "--device", "sim",
                               "--in", "in.safetensors", "--out",
                               "out.safetensors", *arguments,
                               environment=environment)
            self.assertEqual((done.returncode, done.stdout), (1, ""), message)
            self.assertIn(message, done.stderr)
            self.assertNotIn("out.safetensors", self.files())


if __name__ == "__main__":
    cli_case.main()
