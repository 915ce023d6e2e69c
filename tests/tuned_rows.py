"""tuned_rows.py PFLASH [--all | WORDS]: whether the rows of the built-in table
still are what they are for: each compiles, and takes no more cycles than the
plan's own tiles. Two rows, another pair every day; --all takes all, and WORDS
those that have them. Exit code 77 if the compiler cannot be had.
"""
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys

import fetched

ROWS = pathlib.Path(__file__).resolve().parent.parent / (
    "src/kernels/tuned_rows.inc")


def options(key):
    """Those of pflash tune for a row's key, with few heads."""
    words = key.split()
    numbers = dict(word.split("=") for word in words if "=" in word)
    sizes = [numbers[name] for name in
             (("T", "Smax") if words[0] == "decode" else ("Sq", "Sk"))]
    heads = int(numbers.get("Hkv", 2))
    shape = ["1", str(heads * int(numbers.get("G", 1))), str(heads), *sizes,
             numbers["D"], numbers["Dv"]]
    found = ["--op", words[0], "--shape", ",".join(shape)]
    if "causal" in words and words[0] != "decode":
        found.append("--causal")
    if "segments" in words:
        found.append("--segments")
    if "softcap" in words:
        found += ["--softcap", "50"]
    for name, option in [("window", "--window"), ("chips", "--chips"),
                         ("page", "--page"), ("cache", "--cache-dtype")]:
        if name in numbers:
            found += [option, numbers[name]]
    return found


def check(pflash, row):
    """What is wrong with the row; None: nothing."""
    key, tiles, _ = row.split(" : ")
    tries = [word for tile in tiles.split() for word in ("--try", tile)]
    done = subprocess.run([pflash, "tune", *options(key), *tries, "--timeout",
                           "900", "--json"], capture_output=True, text=True)
    if done.returncode:
        return done.stderr
    facts = json.loads(done.stdout)
    if facts["key"] != key:
        return f"is a row of {facts['key']}"
    wanted = {name: int(value) for name, value in
              (tile.split("=") for tile in tiles.split())}
    with_row, own, why = None, None, "it is not tried"
    for candidate in facts["candidates"]:
        if candidate["tiles"].items() >= wanted.items():
            with_row, why = candidate.get("cycles"), candidate.get("failure")
        else:
            own = candidate.get("cycles")
    print(f"{key}: {with_row} cycles, the plan's own tiles {own}", flush=True)
    if not with_row:
        return f"does not compile: {why}"
    if own and with_row > own:
        return "is slower than the plan's own tiles"
    return None


def chosen(rows, words):
    if words == ["--all"]:
        return rows
    if words:
        return [row for row in rows if all(word in row for word in words)]
    first = datetime.date.today().toordinal() * 2
    return [rows[(first + i) % len(rows)] for i in range(min(2, len(rows)))]


def main():
    pflash = os.path.abspath(sys.argv[1])
    fetched.or_skip(fetched.libtpu)
    rows = re.findall(r'(?m)^"(.*)\\n"$', ROWS.read_text())
    wrong = 0
    for row in chosen(rows, sys.argv[2:]):
        reason = check(pflash, row)
        if reason:
            wrong += 1
            print(f"{row}\n    {reason}; again:\n    tests/tuned_rows.py PFLASH "
                  f"'{row.split(' : ')[0]}'")
    return int(wrong > 0)


sys.exit(main())
