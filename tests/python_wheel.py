"""python_wheel.py PFLASH [JAX...]: the Python package as a user gets it. A
wheel is made of this checkout, installed with jax in a clean environment for
each version of jax given (the newest if none is), and its tests are run there;
with libtpu, where there is a wheel of it, against the command PFLASH too. Exit
code 77 if PyPI cannot be had.
"""
import os
import pathlib
import subprocess
import sys

import fetched

TESTS = fetched.ROOT / "python/tests"
INSTALL_S, TEST_S = 400, 900  # of a busy machine


def pip(python, *arguments):
    fetched.quiet(python, "-m", "pip", "--disable-pip-version-check", "install",
                  "--retries", "1", "--quiet", *arguments, seconds=INSTALL_S)


def environment(place, jax):
    """A virtual environment with jax and what the tests use; kept, with the
    wheel made anew."""
    python = place / "bin/python"
    try:
        if not python.exists():
            fetched.quiet(sys.executable, "-m", "venv", place,
                          seconds=INSTALL_S)
        pip(python, "pytest", "scikit-build-core", "ninja", jax)
        if jax == "jax":
            pip(python, "libtpu")
    except (OSError, subprocess.SubprocessError) as error:
        raise fetched.Missing(f"no {jax}: {fetched.reason(error)}") from error
    return python


def install(python):
    """What the wheel lacks is no reason to skip."""
    pip(python, "--no-build-isolation", "--no-deps", "--force-reinstall",
        fetched.ROOT)


def test(place, pflash, all_of_them):
    """In a directory that has no pallas_flash of its own. An older JAX runs
    what touches its interfaces."""
    names = [""] if all_of_them else ["test_abi.py", "test_errors.py",
                                      "test_attention.py", "test_decode.py"]
    run = [place / "bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider",
           *[TESTS / name for name in names]]
    given = dict(os.environ, PFLASH=pflash, VIRTUAL_ENV=str(place),
                 PYTHONDONTWRITEBYTECODE="1")
    return subprocess.run(run, cwd=place, env=given, timeout=TEST_S).returncode


def main():
    pflash, *versions = sys.argv[1:]
    failed = 0
    for jax in versions or ["jax"]:
        place = pathlib.Path(pflash).parent / f"python-{jax}"
        with fetched.place():
            python = fetched.or_skip(lambda: environment(place, jax))
            install(python)
        failed |= test(place, pflash, jax == "jax")
    return failed


sys.exit(main())
