"""sim_jax.py SIM_MODULE: runs sim_jax_run.py with the python that has jax
(fetched.py). Exit code 77 if jax cannot be had.
"""
import pathlib
import subprocess
import sys
import tempfile

import fetched

RUN_S = 400


def main():
    python = fetched.or_skip(fetched.jax_python)
    here = pathlib.Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory() as scratch:
        return subprocess.run([python, "-W", "ignore",
                               here / "sim_jax_run.py", sys.argv[1], scratch],
                              timeout=RUN_S).returncode


sys.exit(main())
