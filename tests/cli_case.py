"""What the tests of the command share: a folder for each test, random tensors,
files of expected text, and the command line that a test program takes.
"""
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

import safetensors_io

seed = int(os.environ.get("PFLASH_SEED", random.randrange(1 << 32)))
program = ""  # pflash
rewrite = False  # the files of expected text, not compare with them


class Case(unittest.TestCase):
    """A folder of its own, in which pflash runs."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.random = random.Random(f"{seed} {self.id()}")

    def pflash(self, *arguments, **options):
        environment = {key: value for key, value in os.environ.items()
                       if key not in ("PFLASH_ISA", "PFLASH_PJRT_PLUGIN")}
        environment["PFLASH_CACHE"] = ""
        environment.update(options.pop("environment", {}))
        return subprocess.run(
            [program, *map(str, arguments)], cwd=self.folder, text=True,
            env=environment, capture_output=True, timeout=300, **options)

    def files(self):
        return {path.name: path.read_bytes()
                for path in self.folder.iterdir() if path.is_file()}

    def normal(self, dtype, *shape, scale=1.0):
        """A tensor of normal numbers that `dtype` can hold."""
        values = [self.random.gauss(0, scale) for _ in range(math.prod(shape))]
        return dtype, list(shape), safetensors_io.rounded(dtype, values)

    def integers(self, dtype, low, high, *shape):
        return dtype, list(shape), [self.random.randint(low, high)
                                    for _ in range(math.prod(shape))]

    def write(self, tensors, name="in.safetensors"):
        safetensors_io.write(self.folder / name, tensors)

    def read(self, name="out.safetensors"):
        return safetensors_io.read(self.folder / name)

    def qkv(self, dtype="F32", B=1, Hq=2, Hkv=2, Sq=3, Sk=3, D=4, Dv=None):
        return {"q": self.normal(dtype, B, Hq, Sq, D),
                "k": self.normal(dtype, B, Hkv, Sk, D),
                "v": self.normal(dtype, B, Hkv, Sk, Dv or D)}


def compare_golden(test, path, text):
    if rewrite:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return
    test.maxDiff = None
    test.assertTrue(path.is_file(), f"no {path}: run with --rewrite")
    test.assertEqual(path.read_text(), text,
                     f"{path} is out of date: run with --rewrite")


def main():
    """TEST PFLASH [--rewrite] [what unittest takes]"""
    global program, rewrite
    arguments = sys.argv[1:]
    program = os.path.abspath(arguments.pop(0))
    if "--rewrite" in arguments:
        rewrite = True
        arguments.remove("--rewrite")
    print(f"{sys.argv[0]}: seed {seed}, PFLASH_SEED={seed} repeats it",
          flush=True)
    unittest.main(argv=[sys.argv[0], *arguments])
