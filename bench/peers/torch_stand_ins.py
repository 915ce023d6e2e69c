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
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wanted(library):
    """(libraries needed, {library: versions}, {version: symbols}, symbols of no version)"""
    needed = {n for n in re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-dW", library)) if CUDA.match(n)}
    versions, current = {}, None
    for line in output("readelf", "-VW", library).splitlines():
        if found := re.search(r"File: (\S+)", line):
            current = found[1]
        elif found := re.search(r"Name: (\S+) +Flags", line):
            versions.setdefault(current, set()).add(found[1])
    versioned, plain = {}, set()
    symbols = output("readelf", "--dyn-syms", "-W", library)
    for name, version in re.findall(r"UND (\w+)(?:@(\S+).*)?$", symbols, re.M):
        versioned.setdefault(version, set()).add(name) if version else plain.add(name)
    return needed, versions, versioned, plain


def merge(into, more):
    for key, values in more.items():
        into.setdefault(key, set()).update(values)


def belongs(symbol, library):
    stem = re.match(r"lib([a-zA-Z]+?)(_host)?\.", library)[1].lower()
    # the driver's symbols are cuXxx; libcuda's stem would also take cudaXxx
    return bool(re.match("cu[A-Z]", symbol)) if stem == "cuda" else symbol.lower().startswith(stem)


def build(path, versions, versioned, plain):
    name = os.path.basename(path)
    mine = {v: versioned.get(v, set()) for v in versions.get(name, ())}
    symbols = {s for s in plain if belongs(s, name)}.union(*mine.values())
    source = "".join(f"int {s}(void) {{ return 100; }}\n" for s in sorted(symbols))
    script = "".join(f"{v} {{ global: {' '.join(s + ';' for s in sorted(names))} }};\n" for v, names in sorted(mine.items()))
    with tempfile.NamedTemporaryFile("w", suffix=".map") as map_file:
        map_file.write(script)
        map_file.flush()
        command = ["gcc", "-w", "-shared", "-fPIC", "-nostdlib", f"-Wl,-soname,{name}", "-x", "c", "-", "-o", path]
        if script:
            command.append(f"-Wl,--version-script={map_file.name}")
        subprocess.run(command, input=source, text=True, check=True)


def main():
    folder = os.path.join(os.path.dirname(importlib.util.find_spec("torch").origin), "lib")
    needed, versions, versioned, plain = set(), {}, {}, set()
    for library in glob.glob(folder + "/lib*torch*.so*") + glob.glob(folder + "/libc10*.so*"):
        n, v, s, p = wanted(library)
        needed |= n
        plain |= p
        merge(versions, v)
        merge(versioned, s)
    for name in sorted(needed):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            build(path, versions, versioned, plain)


if __name__ == "__main__":
    main()
