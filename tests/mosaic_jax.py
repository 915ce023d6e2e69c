"""mosaic_jax.py MOSAIC_TEXT: src/mosaic against MLIR and Pallas.

Every module that JAX's own kernels lower to must keep our rules and be printed,
once read, byte for byte as MLIR prints it; MLIR must read, print and verify our
golden kernels. Exit code 77 if jax (fetched.py) cannot be had.
"""
import pathlib
import subprocess
import sys
import tempfile

import fetched

TESTS = pathlib.Path(__file__).resolve().parent
MODULES_MIN = 12  # jax's kernels come and go; fewer would prove little
LOWER_S = 150


def main():
    tool = sys.argv[1]
    python = fetched.or_skip(fetched.jax_python)
    goldens = sorted(map(str, (TESTS / "golden/mosaic").glob("*.mlir")))
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([python, "-W", "ignore", TESTS / "mosaic_lower.py",
                        scratch, *goldens], check=True, timeout=LOWER_S)
        modules = sorted(pathlib.Path(scratch).glob("*.mlir"))
        refused = subprocess.run([tool, *modules]).returncode
        changed = [path.name for path in modules
                   if not refused and path.read_bytes() !=
                   path.with_suffix(".mlir.again").read_bytes()]
        for name in changed:
            print(f"{name} is not printed as MLIR prints it")
        if len(modules) < MODULES_MIN:
            print(f"{len(modules)} modules are too few")
        return int(bool(refused or changed or len(modules) < MODULES_MIN))


sys.exit(main())
