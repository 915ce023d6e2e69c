"""check_simulator_page.py: docs/simulator.md lists the hazards of src/sim/slice.h,
in its words and its order."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
header = (ROOT / "src/sim/slice.h").read_text()
block = header[header.index("#define SIM_HAZARD_LIST"):]
block = block[:block.index("typedef")].replace("\\\n", " ")
rows = [f"| {name} | {meaning} |" for name, meaning in re.findall(
    r'X\(\w+,\s*"([^"]+)",\s*"([^"]+)"\)', block)]
page = (ROOT / "docs/simulator.md").read_text()
table = "\n".join(rows)
if len(rows) < 10 or table not in page:
    sys.exit("docs/simulator.md has not this table:\n" + table)
print(f"{len(rows)} hazards are as the code has them")
