"""schedule_hardware.py PFLASH PFLASH_COMPILER: the cycle model against times
that others have measured on a real v5e.

jax lowers the programs, libtpu compiles them, pflash schedule predicts their
times; the table that docs/cycle-model.md shows is printed. The median error
must be 5 % at most. Exit code 77 if jax or libtpu (fetched.py) cannot be had.
"""
import glob
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import fetched

TESTS = pathlib.Path(__file__).resolve().parent
# Milliseconds on a v5e: the flash attention of jax, B 32, H 8, D 64, default
# blocks (github.com/jax-ml/jax issue 24633); x @ y of jax's guide "Matrix
# multiplication" for Pallas on TPUs, blocks m x k x n.
MEASURED = {"flash_4096": 144.97, "flash_1024": 9.45,
            "matmul_4096_128x128x128": 11.8, "matmul_4096_512x1024x1024": 0.89,
            "matmul_1024_128x128x128": 0.295,
            "matmul_1024_512x1024x1024": 0.127}
# Those times include that of handing the program to the chip, which no model of
# the chip has: from the shortest, about this.
DISPATCH_MS = 0.1
MEDIAN_MAX, WORST_MAX = 0.05, 0.10
ONE_CHIP = "1a0420012801"  # CompileOptionsProto: one replica, one partition


def plugin():
    fetched.or_skip(fetched.libtpu)
    found = os.environ.get("PFLASH_LIBTPU") or next(iter(glob.glob(str(
        fetched.ROOT / ".venv/lib/python3*/site-packages/libtpu/libtpu.so"))))
    return found


def predict(module, pflash, compiler, library):
    """Milliseconds."""
    with tempfile.TemporaryDirectory() as listing:
        with open(module) as text:
            subprocess.run([compiler, library, "v5e:2x2", ONE_CHIP, listing],
                           stdin=text, stdout=subprocess.DEVNULL, check=True,
                           timeout=300)
        facts = json.loads(subprocess.run(
            [pflash, "schedule", listing, "--whole", "--json"], check=True,
            timeout=300, stdout=subprocess.PIPE).stdout)
    return facts["programs"][0]["time_us"] / 1000


def main():
    pflash, compiler = map(os.path.abspath, sys.argv[1:])
    python = fetched.or_skip(fetched.jax_python)
    library = plugin()
    errors = []
    print("program                         measured  predicted  + dispatch  "
          "error")
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([python, "-W", "ignore", TESTS / "hardware_lower.py",
                        scratch], check=True, timeout=150)
        for name, measured in MEASURED.items():
            predicted = predict(f"{scratch}/{name}.mlir", pflash, compiler,
                                library)
            error = (predicted + DISPATCH_MS) / measured - 1
            errors.append(abs(error))
            print(f"{name:30} {measured:7.3f} ms {predicted:7.3f} ms "
                  f"{predicted + DISPATCH_MS:8.3f} ms  {100 * error:+5.1f}%",
                  flush=True)
    median, worst = statistics.median(errors), max(errors)
    print(f"median error {100 * median:.1f}%, worst {100 * worst:.1f}%")
    return int(median > MEDIAN_MAX or worst > WORST_MAX)


sys.exit(main())
