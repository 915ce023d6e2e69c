"""What tests fetch from PyPI, once for the builds of all presets: it lies in
build/fetched, and libtpu in .venv. What cannot be had is Missing, and its tests
are skipped.

    python3 fetched.py libtpu|jax|header     fetches one; exit code 77 if missing
"""
import contextlib
import fcntl
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLACE = ROOT / "build/fetched"
HEADER = "tensorflow/include/xla/pjrt/c/pjrt_c_api.h"
CONNECT_S, INSTALL_S = 40, 400


class Missing(Exception):
    """What, and why."""


@contextlib.contextmanager
def place():
    """PLACE, for this process alone."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with open(PLACE / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield PLACE


def quiet(*command, seconds):
    subprocess.run(command, check=True, timeout=seconds, text=True,
                   capture_output=True)


def reason(error):
    """The last line that a failed command wrote, or the error itself."""
    said = getattr(error, "stderr", None) or ""
    return said.strip().splitlines()[-1] if said.strip() else str(error)


# ---- libtpu ----------------------------------------------------------------

def libtpu():
    """Sees to it that pflash finds libtpu."""
    try:
        quiet(ROOT / "script/bootstrap", "--tpu", seconds=INSTALL_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise Missing(f"no libtpu: {reason(error)}") from error


# ---- jax -------------------------------------------------------------------

def has_jax(python):
    try:
        quiet(python, "-c", "import jax.experimental.pallas.tpu",
              seconds=INSTALL_S)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def jax_python():
    """An interpreter that has jax: PFLASH_JAX_PYTHON, or one of our own."""
    if given := os.environ.get("PFLASH_JAX_PYTHON"):
        if has_jax(given):
            return pathlib.Path(given)
        raise Missing(f"no jax: PFLASH_JAX_PYTHON, {given}, has none")
    try:
        with place() as directory:
            python = directory / "jax/bin/python"
            if not has_jax(python):
                quiet(sys.executable, "-m", "venv", directory / "jax",
                      seconds=INSTALL_S)
                quiet(python, "-m", "pip", "install", "--retries", "1", "jax",
                      seconds=INSTALL_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise Missing(f"no jax: {reason(error)}") from error
    return python


# ---- The official PJRT header ----------------------------------------------

class RemoteFile(io.RawIOBase):
    """A file behind a URL, of which only what is read is transferred."""

    def __init__(self, url):
        self.url, self.place = url, 0
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=CONNECT_S) as answer:
            self.size = int(answer.headers["Content-Length"])

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self.place

    def seek(self, offset, whence=io.SEEK_SET):
        self.place = (0, self.place, self.size)[whence] + offset
        return self.place

    def readinto(self, buffer):
        end = min(self.place + len(buffer), self.size)
        if end <= self.place:
            return 0
        request = urllib.request.Request(self.url, headers={
            "Range": f"bytes={self.place}-{end - 1}"})
        with urllib.request.urlopen(request, timeout=CONNECT_S) as answer:
            if answer.status != 206:
                raise OSError("the server sends whole files only")
            data = answer.read()
        buffer[:len(data)] = data
        self.place += len(data)
        return len(data)


def wheel_url():
    """Where pip would download the wheel from."""
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.json"
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps",
             "--ignore-installed", "--quiet", "--only-binary", ":all:",
             "--report", report, "tensorflow-cpu"],
            check=True, timeout=CONNECT_S, text=True, capture_output=True)
        wheel = json.loads(report.read_text())["install"][0]
        return wheel["download_info"]["url"]


def pjrt_header():
    """pjrt_c_api.h: PFLASH_PJRT_HEADER, or the one in the tensorflow-cpu wheel,
    of which no more is fetched, if pip can say where it lies."""
    if given := os.environ.get("PFLASH_PJRT_HEADER"):
        return pathlib.Path(given).resolve()
    try:
        with place() as directory:
            path = directory / "pjrt_c_api.h"
            if not path.exists():
                remote = io.BufferedReader(RemoteFile(wheel_url()), 1 << 20)
                path.write_bytes(zipfile.ZipFile(remote).read(HEADER))
            return path
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile,
            subprocess.SubprocessError) as error:
        raise Missing(f"no {HEADER}: {reason(error)}") from error


def or_skip(fetch):
    """What `fetch` gives; ends the test as skipped if that is missing."""
    try:
        return fetch()
    except Missing as missing:
        print(f"skipped: {missing}")
        sys.exit(77)


if __name__ == "__main__":
    print(or_skip({"libtpu": libtpu, "jax": jax_python,
                   "header": pjrt_header}[sys.argv[1]]) or "there")
