"""check_pjrt_abi.py COMPILER CACHE_DIR: src/pjrt/pjrt_abi.h against the official
header: the size of every struct, offset and size of every field, the place of
every slot of the table, the numbers of the enums.

The official header is PFLASH_PJRT_HEADER, or CACHE_DIR/pjrt_c_api.h, which is
fetched once: out of the tensorflow-cpu wheel, and not the whole of it, if pip
can say where it lies. Exit code 77 if it cannot be had.
"""
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
OURS = ROOT / "src/pjrt/pjrt_abi.h"
SLOTS = ROOT / "src/pjrt/pjrt_slots.h"
MEMBER = "tensorflow/include/xla/pjrt/c/pjrt_c_api.h"
TIMEOUT_S = 40


class RemoteFile(io.RawIOBase):
    """A file behind a URL, of which only what is read is transferred."""

    def __init__(self, url):
        self.url, self.place = url, 0
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
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
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
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
            check=True, timeout=TIMEOUT_S, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        wheel = json.loads(report.read_text())["install"][0]
        return wheel["download_info"]["url"]


def official_header(cache):
    if given := os.environ.get("PFLASH_PJRT_HEADER"):
        return pathlib.Path(given)
    path = cache / "pjrt_c_api.h"
    if not path.exists():
        try:
            remote = io.BufferedReader(RemoteFile(wheel_url()), 1 << 20)
            text = zipfile.ZipFile(remote).read(MEMBER)
        except (OSError, ValueError, KeyError, IndexError,
                subprocess.SubprocessError, zipfile.BadZipFile) as error:
            print(f"skipped: no {MEMBER}: {error}")
            sys.exit(77)
        cache.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return path


def declared():
    """{struct: fields}, slots and enumerators of our header."""
    text = re.sub(r"/\*.*?\*/", "", OURS.read_text(), flags=re.DOTALL)
    structs = {}
    for name, body in re.findall(r"typedef struct (PJRT_\w+) {(.*?)\n} \1;",
                                 text, re.DOTALL):
        if name != "PJRT_Api":
            body = body.replace("PJRT_HEAD;",
                                "size_t struct_size; void *extension_start;")
            structs[name] = re.findall(r"(\w+);", body)
    slots = re.findall(r"^  (?:CALL|VOID|SKIP)\((\w+)\)", SLOTS.read_text(),
                       re.MULTILINE)
    values = [value for value in re.findall(r"\bPJRT_\w+", "".join(
        re.findall(r"typedef enum \w+ {(.*?)}", text, re.DOTALL)))]
    return structs, slots, values


def facts(compiler, header, structs, slots, values):
    """What the compiler makes of a header, as {name: number}."""
    lines = []
    def show(name, expression):
        lines.append(f'printf("{name} %ld\\n", (long)({expression}));')
    for struct, fields in structs.items():
        show(struct + "_STRUCT_SIZE", struct + "_STRUCT_SIZE")
        for field in fields:
            show(f"{struct}.{field}", f"offsetof({struct}, {field})")
            show(f"sizeof {struct}.{field}",
                 f"sizeof((({struct} *)0)->{field})")
    for slot in slots:
        show(f"PJRT_Api.{slot}", f"offsetof(PJRT_Api, PJRT_{slot})")
    for value in values:
        show(value, value)
    with tempfile.TemporaryDirectory() as directory:
        source = pathlib.Path(directory) / "facts.c"
        source.write_text(f'#include "{header}"\n#include <stdio.h>\n'
                          "int main(void) {\n" + "\n".join(lines) +
                          "\nreturn 0; }\n")
        program = pathlib.Path(directory) / "facts"
        subprocess.run([compiler, "-std=gnu11", "-w", f"-I{ROOT / 'src'}",
                        source, "-o", program], check=True)
        output = subprocess.run([program], check=True, text=True,
                                stdout=subprocess.PIPE).stdout
    return {line.rsplit(" ", 1)[0]: int(line.rsplit(" ", 1)[1])
            for line in output.splitlines()}


compiler, cache = sys.argv[1], pathlib.Path(sys.argv[2])
header = official_header(cache).resolve()
structs, slots, values = declared()
listed = re.findall(r"^  X\((\w+),", OURS.read_text(), re.MULTILINE)
assert len(structs) > 40 and len(slots) > 90 and len(values) > 10, \
    "our own header was not understood"
failures = [f"PJRT_STRUCT_LIST lacks {name}" for name in structs
            if name.removeprefix("PJRT_") not in listed]
ours = facts(compiler, OURS, structs, slots, values)
theirs = facts(compiler, header, structs, slots, values)
failures += [f"{name} is {ours[name]}; the official header has {theirs[name]}"
             for name in ours if ours[name] != theirs[name]]
official = header.read_text()
order = re.findall(r"^\s*_PJRT_API_STRUCT_FIELD\(PJRT_(\w+)\);", official,
                   re.MULTILINE)
if order[:len(slots)] != slots:
    failures.append("the table's slots have other names or another order")
minor = re.search(r"#define PJRT_API_MINOR (\d+)", official)[1]
if f"#define PJRT_ABI_MINOR {minor} " not in OURS.read_text():
    print(f"note: the official header is version 0.{minor}")
print("\n".join(failures) or f"{len(structs)} structs, {len(slots)} slots, "
      f"{len(ours)} numbers are those of version 0.{minor}")
sys.exit(bool(failures))
