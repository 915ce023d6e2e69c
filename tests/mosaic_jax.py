"""mosaic_jax.py MOSAIC_TEXT DIRECTORY: src/mosaic against MLIR and Pallas.

Every module that JAX's own kernels lower to must keep our rules and be printed,
once read, byte for byte as MLIR prints it; MLIR must read, print and verify our
golden kernels. jax is PFLASH_JAX_PYTHON's, or is installed in DIRECTORY. Exit
code 77 if it cannot be had.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parent
MODULES_MIN = 12  # jax's kernels come and go; fewer would prove little
INSTALL_S, LOWER_S = 250, 150


def quiet(*command, seconds):
    subprocess.run(command, check=True, timeout=seconds,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def jax_python(directory):
    """An interpreter that has jax, or None."""
    given = os.environ.get("PFLASH_JAX_PYTHON")
    python = pathlib.Path(given) if given else directory / "bin/python"
    try:
        if not python.exists():
            quiet(sys.executable, "-m", "venv", directory, seconds=INSTALL_S)
            quiet(python, "-m", "pip", "install", "jax", seconds=INSTALL_S)
        quiet(python, "-c", "import jax.experimental.pallas.tpu",
              seconds=LOWER_S)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"no jax: {error}")
        return None
    return python


def main():
    tool, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    python = jax_python(directory)
    if not python:
        return 77
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
