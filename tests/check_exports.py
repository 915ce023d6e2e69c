"""check_exports.py SHARED STATIC: both libraries define, for the linker, the
functions that the public headers declare PFL_API, and nothing else; and the
shared one needs nothing but the C library's own parts.
"""
import pathlib
import re
import subprocess
import sys

INCLUDE = pathlib.Path(__file__).resolve().parent.parent / "include"
NEEDED = re.compile(r"(libc|libm|libpthread|libdl|ld-linux.*)\.so\.\d+")


def run(*command):
    return subprocess.run(command, check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def declared():
    text = "".join(path.read_text() for path in INCLUDE.rglob("*.h"))
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    return set(re.findall(r"\bPFL_API\b[^;(]*?(\w+)\s*\(", text))


def defined(library, *options):
    lines = run("nm", "--defined-only", *options, library).splitlines()
    return {line.split()[-1] for line in lines if len(line.split()) == 3}


shared, static = sys.argv[1:]
functions = declared()
assert "pfl_version" in functions, "the headers' declarations were not found"
failures = []
for library, names in [(shared, defined(shared, "--dynamic")),
                       (static, defined(static, "--extern-only"))]:
    where = pathlib.Path(library).name
    failures += [f"{where} lacks {name}" for name in sorted(functions - names)]
    failures += [f"{where} exports {name}, which no public header declares"
                 for name in sorted(names - functions)]
needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", shared))
failures += [f"{pathlib.Path(shared).name} needs {name}" for name in needed
             if not NEEDED.fullmatch(name)]
print("\n".join(failures) or f"{len(functions)} functions and nothing else; "
      f"needs {', '.join(needed)}")
sys.exit(bool(failures))
