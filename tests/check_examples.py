"""check_examples.py SHARED COMPILER: the C programs that pages show compile
without a warning against the public headers and the shared library, run, and
print what the page says they do, where it says so.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# mosaic.md shows the inside of the library: check_mosaic_page.py
PAGES = ["README.md", "docs/cache.md"]
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wshadow", "-pedantic", "-Werror"]

library, compiler = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
failures, count = [], 0


def run(source, folder):
    (folder / "example.c").write_text(source)
    subprocess.run([compiler, *WARNINGS, f"-I{ROOT}/include", "example.c",
                    library, f"-Wl,-rpath,{library.parent}", "-o", "example"],
                   cwd=folder, check=True)
    return subprocess.run([folder / "example"], text=True, capture_output=True)


for page in PAGES:
    text = (ROOT / page).read_text()
    for match in re.finditer(r"```c\n(.*?)```\s*(prints\s+(\S.*?)\n\n)?", text,
                             re.DOTALL):
        count += 1
        with tempfile.TemporaryDirectory() as folder:
            done = run(match[1], pathlib.Path(folder))
        if done.returncode:
            failures.append(f"{page}: its example fails: {done.stdout}")
        if match[3] and done.stdout.split() != match[3].split():
            failures.append(f"{page}: its example prints {done.stdout}")
    if "```c\n" not in text:
        failures.append(f"{page} has no example")
print("\n".join(failures) or f"{count} examples compile, run and print what "
      "they are said to")
sys.exit(bool(failures))
