"""compile_tpu.py PFLASH: pflash compile with the real TPU compiler, for every
topology: whole listings with the kernels' own code in them, and executables,
from processes that cannot have run Python. Exit code 77 where there is no
libtpu (fetched.py).
"""
import json
import os
import re
import sys

import cli_case

TARGETS = ["v5e:1x1", "v5e:2x2", "v4:2x2x1", "v5p:2x2x1", "v6e:2x2",
           "tpu7x:2x2x1"]
FORWARD = "--op forward --shape 1,2,1,256,256,128 --causal"
DECODE = "--op decode --shape 2,8,2,1,2048,128"


class Tpu(cli_case.Case):
    def setUp(self):
        super().setUp()
        self.bin = self.folder / "bin"  # an empty one
        self.bin.mkdir()

    def compile(self, line, **environment):
        done = self.pflash("compile", *line.split(), environment={
            "PATH": str(self.bin), "PFLASH_CACHE": str(self.folder / "cache"),
            **environment})
        self.assertNotIn("Traceback", done.stderr)
        return done

    def facts(self, line):
        done = self.compile(f"{line} --json")
        self.assertEqual((done.returncode, done.stderr), (0, ""), line)
        return json.loads(done.stdout)

    def listing(self, line, name):
        """Compiles into a listing, which must be one of the kernel."""
        facts = self.facts(f"{line} --emit listing --out {name}")
        listing = self.folder / name
        self.assertEqual(json.loads((listing / "pflash.json").read_text()),
                         facts)
        for kernel in facts["kernels"]:
            bundles = [path for path in listing.iterdir()
                       if f"-{kernel}." in path.name and
                       path.name.endswith("-final_bundles.txt") and
                       "schedule-analysis" not in path.name]
            self.assertEqual(len(bundles), 1, sorted(os.listdir(listing)))
            lines = re.findall(r"(?m)^ *0x[0-9a-f]+ .*: .*{",
                               bundles[0].read_text())
            self.assertGreater(len(lines), 100, bundles[0])
        self.assertGreater(facts["memory_bytes"]["generated_code"], 0)
        return facts

    def test_forward(self):
        for target in TARGETS:
            with self.subTest(target):
                facts = self.listing(f"{FORWARD} --target {target}", "forward")
                self.assertEqual((facts["target"], facts["chips"]), (target, 1))
                self.assertGreaterEqual(facts["memory_bytes"]["argument"],
                                        4 * 256 * 128 * 2)

    def test_decode(self):
        for target in TARGETS:
            with self.subTest(target):
                chips = 1 if target.endswith(":1x1") else 4
                facts = self.listing(
                    f"{DECODE} --target {target} --chips {chips}", "decode")
                self.assertEqual(facts["chips"], chips)
                self.assertGreaterEqual(facts["memory_bytes"]["argument"],
                                        2 * 2 * 2 * 2048 * 128 * 2 // chips)

    def test_executable(self):
        """The same bytes from the compiler, the cache, and after the cache was
        spoilt."""
        line = f"{FORWARD} --emit executable --out x"
        first = self.facts(line)
        executable = (self.folder / "x").read_bytes()
        self.assertEqual((first["from_cache"], first["out_bytes"]),
                         (False, len(executable)))
        again = self.facts(line)
        self.assertTrue(again["from_cache"])
        self.assertEqual((self.folder / "x").read_bytes(), executable)
        entry, = (self.folder / "cache").iterdir()
        entry.write_bytes(entry.read_bytes()[:-100])
        third = self.facts(line)
        self.assertFalse(third["from_cache"])
        self.assertEqual(third["memory_bytes"], first["memory_bytes"])
        self.assertEqual(third["compiler"], first["compiler"])

    def refuse(self, line, message, **environment):
        before = set(os.listdir(self.folder))
        done = self.compile(line, **environment)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.assertRegex(done.stderr, message)
        self.assertEqual(set(os.listdir(self.folder)), before)

    def test_refusals(self):
        """What libtpu itself refuses, or is not given the time for."""
        for emit in ["executable", "listing"]:
            out = f"{FORWARD} --emit {emit} --out out"
            self.refuse(f"{out} --target v5e:3x7", "v5e:3x7")
            self.refuse(f"{out} --timeout 0.01", "no answer within 0.01 s")
            self.refuse(out, r"(?i)\bflag\b|no_such_flag",
                        LIBTPU_INIT_ARGS="--no_such_flag=1")


def has_libtpu():
    folder = Tpu("test_forward")
    folder.setUp()
    found = json.loads(folder.pflash("info", "--json").stdout)
    folder.doCleanups()
    if not found["libtpu"]:
        print(f"skipped: {found['libtpu_missing']}")
    return bool(found["libtpu"])


if __name__ == "__main__":
    cli_case.program = os.path.abspath(sys.argv[1])
    if not has_libtpu():
        sys.exit(77)
    cli_case.main()
