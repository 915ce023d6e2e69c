"""check_mosaic_page.py MOSAIC_PAGE LIBRARY COMPILER [--rewrite]: docs/mosaic.md
against the code. The parts between its marks are what MOSAIC_PAGE prints of the
tables (--rewrite puts them there), every kind of the tables is explained, and
the kernel on the page compiles and gives the module, and the mistake, that the
page says.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/mosaic.md"
PARTS = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- end of \1 -->\n", re.DOTALL)
failures = []


def need(condition, message):
    if not condition:
        failures.append(message)


def check_parts(page, printed):
    parts = dict(PARTS.findall(printed))
    need(len(parts) == 4, "mosaic_page prints another number of parts")
    written = PARTS.sub(lambda match: f"<!-- {match[1]} -->\n{parts[match[1]]}"
                        f"<!-- end of {match[1]} -->\n", page)
    need(set(parts) == {name for name, _ in PARTS.findall(page)},
         "the page lacks a part")
    if "--rewrite" in sys.argv:
        PAGE.write_text(written)
    else:
        need(written == page, f"{PAGE} is out of date: run with --rewrite")


def check_kinds(page):
    """Every kind that ops.h uses is explained where ops begin."""
    explained = set(re.findall(r"`([^`]+)`", page[page.index("## Ops"):
                                                  page.index("<!-- ops")]))
    rows = re.findall(r'X\(\w+, "[\w.]+", "([^"]*)", "([^"]*)", "([^"]*)"',
                      (ROOT / "src/mosaic/ops.h").read_text())
    kinds = {word.split(":")[1].strip("?*") for row in rows for group in row
             for word in group.split()}
    need(len(kinds) > 15, "ops.h was not understood")
    for kind in kinds:
        need(kind in explained or kind.startswith("#"),
             f"{kind} is not explained")


def compile_and_run(source, folder, library, compiler):
    (folder / "softmax_rows.c").write_text(source)
    subprocess.run([compiler, "-std=c11", "-Wall", "-Wextra", "-Werror",
                    f"-I{ROOT}/include", f"-I{ROOT}/src", "softmax_rows.c",
                    library, "-lm", "-lpthread", "-ldl", "-o", "example"],
                   cwd=folder, check=True)
    return subprocess.run([folder / "example"], text=True, capture_output=True)


def check_example(page, library, compiler):
    source = re.search(r"```c\n(.*?)```", page, re.DOTALL)[1]
    expected = re.search(r"```mlir\n(.*?)```", page, re.DOTALL)[1].split()
    mistake = re.search(r"```\n(softmax_rows.c:.*?)\n```", page, re.DOTALL)[1]
    with tempfile.TemporaryDirectory() as folder:
        arguments = pathlib.Path(folder), library, compiler
        done = compile_and_run(source, *arguments)
        need(done.returncode == 0, done.stderr)
        ops = re.findall(r'"stable_mosaic\.[\w.]+"', done.stdout)
        place = 0
        for op in expected:
            need(op in ops[place:], f"the kernel has no {op} where it should")
            place = ops.index(op) + 1 if op in ops else place
        broken = source.replace("mo_broadcast(b, m, tile)", "m")
        done = compile_and_run(broken, *arguments)
        need(done.returncode == 1 and " ".join(mistake.split()) in
             " ".join(done.stderr.split()),
             f"the mistake gives: {done.stderr}")


page = PAGE.read_text()
check_parts(page, subprocess.run([sys.argv[1]], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout)
check_kinds(page)
check_example(page, sys.argv[2], sys.argv[3])
print("\n".join(failures) or "docs/mosaic.md is as the code has it")
sys.exit(bool(failures))
