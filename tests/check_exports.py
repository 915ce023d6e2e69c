"""check_exports.py SHARED STATIC PLUGIN: both libraries define, for the linker,
the functions that the public headers declare PFL_API, and nothing else; the
plugin defines GetPjrtApi, and nothing else; and the shared ones need nothing but
the C library's own parts.
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


shared, static, plugin = sys.argv[1:]
assert "pfl_version" in declared(), "the headers' declarations were not found"
failures = []
for library, names in [(shared, defined(shared, "--dynamic")),
                       (static, defined(static, "--extern-only")),
                       (plugin, defined(plugin, "--dynamic"))]:
    functions = {"GetPjrtApi"} if library == plugin else declared()
    where = pathlib.Path(library).name
    failures += [f"{where} lacks {name}" for name in sorted(functions - names)]
    failures += [f"{where} exports {name}, which it must not"
                 for name in sorted(names - functions)]
needed = {name for library in (shared, plugin) for name in re.findall(
    r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", library))}
failures += [f"a shared library needs {name}" for name in sorted(needed)
             if not NEEDED.fullmatch(name)]
print("\n".join(failures) or f"{len(declared())} functions, and GetPjrtApi, and "
      f"nothing else; needs {', '.join(sorted(needed))}")
sys.exit(bool(failures))
