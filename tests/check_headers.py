"""check_headers.py CC: every public header compiles alone, as C11 and as
C++17, without a warning, and may be included twice.

The C++ compiler is $CXX or c++; without one the exit code is 77.
"""
import os
import pathlib
import shutil
import subprocess
import sys

INCLUDE = pathlib.Path(__file__).resolve().parent.parent / "include"
FLAGS = ["-Wall", "-Wextra", "-Wshadow", "-Wundef", "-pedantic", "-Werror",
         "-fsyntax-only", f"-I{INCLUDE}"]

cc, cxx = sys.argv[1], os.environ.get("CXX", "c++")
if not shutil.which(cxx):
    print(f"no C++ compiler ({cxx}): script/bootstrap --test installs one")
    sys.exit(77)

headers = sorted(path.relative_to(INCLUDE) for path in INCLUDE.rglob("*.h"))
assert headers, f"no headers in {INCLUDE}"
failures = 0
for header in headers:
    for compiler, language, standard in [(cc, "c", "c11"),
                                         (cxx, "c++", "c++17")]:
        result = subprocess.run(
            [compiler, f"-x{language}", f"-std={standard}", *FLAGS, "-"],
            input=f'#include "{header}"\n' * 2 + "int unit_is_not_empty;\n",
            text=True)
        if result.returncode:
            print(f"{header} does not compile alone as {standard}")
            failures += 1
print(f"{len(headers)} headers, {failures} failures")
sys.exit(failures != 0)
