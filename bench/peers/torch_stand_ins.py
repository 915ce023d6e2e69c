"""Stand-ins for the CUDA libraries that a torch wheel names, so that its CPU
part imports without them. Run by setup_torch.sh with the venv's python.

A library that torch needs (NEEDED libcu*, libnv*, libnccl*) and nobody has
becomes a small one in torch/lib with the symbols torch asks of it: those with
a version by that version, the others by the beginning of their names. Each is
a function that returns 100, cudaErrorNoDevice; the CPU path calls none.
A wheel that names no such library is left as it is.
"""
import glob
import importlib.util
import os
import re
import subprocess
import tempfile

CUDA = re.compile(r"lib(cu|nv|nccl)")


def output(*command):
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


def needed_by(library):
    """The CUDA libraries it names."""
    table = output("readelf", "-dW", library)
    names = re.findall(r"\(NEEDED\).*\[(.*)\]", table)
    return {name for name in names if CUDA.match(name)}


def versions_of(library):
    """{library it needs: the symbol versions it wants of that}"""
    versions, current = {}, None
    for line in output("readelf", "-VW", library).splitlines():
        if found := re.search(r"File: (\S+)", line):
            current = versions.setdefault(found[1], set())
        elif found := re.search(r"Name: (\S+) +Flags", line):
            current.add(found[1])
    return versions


def symbols_of(library):
    """{version, "" for none: the undefined symbols of it}"""
    symbols = {}
    table = output("readelf", "--dyn-syms", "-W", library)
    for name, version in re.findall(r"UND (\w+)(?:@(\S+).*)?$", table, re.M):
        symbols.setdefault(version, set()).add(name)
    return symbols


def merge(into, more):
    for key, values in more.items():
        into.setdefault(key, set()).update(values)


def belongs(symbol, library):
    """Whether a symbol without a version is likely the library's."""
    stem = re.match(r"lib([a-zA-Z]+?)(_host)?\.", library)[1].lower()
    if stem == "cuda":  # the driver's are cuXxx; the stem would take cudaXxx
        return bool(re.match("cu[A-Z]", symbol))
    return symbol.lower().startswith(stem)


def build(path, versions, symbols):
    name = os.path.basename(path)
    mine = {v: sorted(symbols.get(v, ())) for v in versions.get(name, ())}
    names = {s for s in symbols.get("", ()) if belongs(s, name)}.union(
        *mine.values())
    source = "".join(f"int {s}(void) {{ return 100; }}\n"
                     for s in sorted(names))
    script = "".join(f"{v} {{ global: {''.join(s + ';' for s in mine[v])} }};\n"
                     for v in sorted(mine))
    command = ["gcc", "-w", "-shared", "-fPIC", "-nostdlib",
               f"-Wl,-soname,{name}", "-x", "c", "-", "-o", path]
    with tempfile.NamedTemporaryFile("w", suffix=".map") as map_file:
        map_file.write(script)
        map_file.flush()
        if script:
            command.append(f"-Wl,--version-script={map_file.name}")
        subprocess.run(command, input=source, text=True, check=True)


def main():
    torch = os.path.dirname(importlib.util.find_spec("torch").origin)
    needed, versions, symbols = set(), {}, {}
    for pattern in ("libtorch*.so*", "libc10*.so*"):
        for library in glob.glob(os.path.join(torch, "lib", pattern)):
            needed |= needed_by(library)
            merge(versions, versions_of(library))
            merge(symbols, symbols_of(library))
    for name in sorted(needed):
        path = os.path.join(torch, "lib", name)
        if not os.path.exists(path):
            build(path, versions, symbols)


if __name__ == "__main__":
    main()
