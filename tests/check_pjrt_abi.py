"""check_pjrt_abi.py COMPILER: src/pjrt/pjrt_abi.h, and pjrt_abi_more.h that goes
on with it, against the official header (fetched.py): the size of every struct,
offset and size of every field, the place of every slot of the table, the
numbers of the enums. Exit code 77 if the header cannot be had.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

import fetched

ROOT = pathlib.Path(__file__).resolve().parent.parent
OURS = ROOT / "src/pjrt/pjrt_abi_more.h"  # includes the first
HEADERS = [ROOT / "src/pjrt/pjrt_abi.h", OURS]
SLOTS = ROOT / "src/pjrt/pjrt_slots.h"


def ours():
    return "".join(header.read_text() for header in HEADERS)


def declared():
    """{struct: fields}, slots and enumerators of our header."""
    text = re.sub(r"/\*.*?\*/", "", ours(), flags=re.DOTALL)
    structs = {}
    for name, body in re.findall(r"\bstruct (PJRT_\w+) {(.*?)\n}(?: \1)?;",
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


compiler = sys.argv[1]
header = fetched.or_skip(fetched.pjrt_header)
structs, slots, values = declared()
listed = re.findall(r"^  X\((\w+),", ours(), re.MULTILINE)
assert len(structs) > 40 and len(slots) > 90 and len(values) > 10, \
    "our own header was not understood"
failures = [f"PJRT_STRUCT_LIST lacks {name}" for name in structs
            if name.removeprefix("PJRT_") not in listed]
known = facts(compiler, OURS, structs, slots, values)
theirs = facts(compiler, header, structs, slots, values)
failures += [f"{name} is {known[name]}; the official header has {theirs[name]}"
             for name in known if known[name] != theirs[name]]
official = header.read_text()
order = re.findall(r"^\s*_PJRT_API_STRUCT_FIELD\(PJRT_(\w+)\);", official,
                   re.MULTILINE)
if order[:len(slots)] != slots:
    failures.append("the table's slots have other names or another order")
minor = re.search(r"#define PJRT_API_MINOR (\d+)", official)[1]
if f"#define PJRT_ABI_MINOR {minor} " not in ours():
    print(f"note: the official header is version 0.{minor}")
print("\n".join(failures) or f"{len(structs)} structs, {len(slots)} slots, "
      f"{len(known)} numbers are those of version 0.{minor}")
sys.exit(bool(failures))
