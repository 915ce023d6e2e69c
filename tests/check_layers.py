"""The rules about files that no compiler checks:

  - one folder is one layer, and includes point downward only;
  - a file name occurs once in src/;
  - a source file is short;
  - no file knows where on somebody's machine it once was.

Prints every breach; exit code 1 if there is one.
"""
import pathlib
import re
import subprocess
import sys

# Each layer of src/ and what it may include beside itself, include/ and the
# layers named here; the order is the order of the layers, lowest first.
LAYERS = {
    "base": [],
    "attention": ["base"],
    "cpu": ["attention", "base"],
    "mosaic": ["base"],
    "kernels": ["mosaic", "attention", "base"],
    "xla": ["kernels", "mosaic", "attention", "base"],
    "pjrt": ["base"],
    "sim": ["pjrt", "xla", "mosaic", "cpu", "base"],
    "device": ["pjrt", "xla", "kernels", "mosaic", "attention", "base"],
    "schedule": ["base"],
    "cache": ["cpu", "attention", "base"],
    "api": ["cache", "schedule", "device", "sim", "pjrt", "xla", "kernels", "mosaic",
            "cpu", "attention", "base"],
    "bench": ["api", "schedule", "device", "sim", "pjrt", "xla", "kernels",
              "mosaic", "cpu", "attention", "base"],
    "pflash-compiler": ["pjrt", "base"],       # programs/pflash-compiler
    "pflash-peer": ["bench", "pjrt", "base"],  # programs/pflash-peer
    "pflash-sim": ["sim", "pjrt", "base"],     # programs/pflash-sim
    "pflash-python": ["xla", "kernels", "mosaic", "attention", "base"],
    "pflash": ["bench", "schedule", "device", "pjrt", "xla", "kernels", "mosaic",
               "attention", "base"],           # programs/pflash
}
LINES_MAX = 700
LINES_WARN = 600
# In two parts each, or this file would break the rule.
PRIVATE_PATHS = [a + b for a, b in [
    ("../sha", "red"), ("/wo", "rk/"), ("/ho", "me/"), ("/ro", "ot/"),
    ("/Use", "rs/")]]

ROOT = pathlib.Path(__file__).resolve().parent.parent
breaches = []


def breach(path, line, text):
    breaches.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def sources(*folders):
    return sorted(path for folder in folders
                  for path in (ROOT / folder).rglob("*.[ch]"))


def check_table():
    above = list(LAYERS)
    for layer, below in LAYERS.items():
        above.remove(layer)
        assert not set(below) & set(above) and layer not in below, layer


def check_include(path, layer, number, name):
    """`name` is what stands between the quotes or brackets."""
    folder = name.split("/")[0]
    if name.startswith("pallas_flash/"):
        if not (ROOT / "include" / name).is_file():
            breach(path, number, f"no public header {name}")
    elif "/" not in name and (path.parent / name).is_file():
        pass
    elif folder not in LAYERS or "/" not in name:
        breach(path, number, f'"{name}" must start with its layer')
    elif layer is None:
        breach(path, number, f"a public header includes {name}")
    elif folder != layer and folder not in LAYERS[layer]:
        breach(path, number, f"{layer} must not include {name}: it is not a "
               f"layer below ({', '.join(LAYERS[layer]) or 'none is'})")


def check_includes():
    include = re.compile(r'\s*#\s*include\s*("|<pallas_flash)([^">]*)')
    for path in sources("include", "src", "programs"):
        parts = path.relative_to(ROOT).parts
        layer = None if parts[0] == "include" else parts[1]
        if layer is not None and layer not in LAYERS:
            breach(path, 1, f"{layer} is no layer")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if match := include.match(line):
                name = (match[1] + match[2]).lstrip('"<')
                check_include(path, layer, number, name)


def check_names():
    seen = {}
    for path in sources("src"):
        if path.name in seen:
            breach(path, 1, f"{seen[path.name].relative_to(ROOT)} has the "
                   "same name")
        seen[path.name] = path


def check_lengths():
    for path in sources("src", "programs"):
        lines = len(path.read_text().splitlines())
        if lines > LINES_MAX:
            breach(path, lines, f"{lines} lines; at most {LINES_MAX}")
        elif lines > LINES_WARN:
            print(f"warning: {path.relative_to(ROOT)} has {lines} lines")


def files():
    """All that git tracks or would; without git, all that is not built."""
    try:
        listed = subprocess.run(
            ["git", "-c", "safe.directory=*", "ls-files", "-co",
             "--exclude-standard"], cwd=ROOT, check=True, text=True,
            capture_output=True).stdout.splitlines()
        return [ROOT / name for name in listed]
    except (OSError, subprocess.CalledProcessError):
        built = {".git", ".venv", "build", "report"}
        return [path for path in ROOT.rglob("*")
                if path.relative_to(ROOT).parts[0] not in built]


def check_paths():
    private = re.compile("|".join(map(re.escape, PRIVATE_PATHS)))
    for path in files():
        if not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            if match := private.search(line):
                breach(path, number, f"{match[0]} is a place on one machine")


check_table()
check_includes()
check_names()
check_lengths()
check_paths()
print("\n".join(breaches) or f"{len(sources('include', 'src', 'programs'))} "
      "source files keep the rules")
sys.exit(bool(breaches))
