"""pflash tune: its search, its journal and its table, with a script in the place
of the TPU's compiler whose listings take as many cycles as the program says.

    test_tune.py PFLASH
"""
import json
import re
import sys

import cli_case
import test_compile

SHAPE = ["--shape", "1,2,2,1024,1024,128"]

# Reads the module, writes a listing: the longer the text, the fewer cycles; dies
# of texts of the lengths that DIE tells. argv: plugin topology options directory.
COMPILER = r"""
import os, sys
size = len(sys.stdin.buffer.read())
with open(os.environ["LOG"], "a") as log:
    log.write(f"{size}\n")
if size in map(int, os.environ.get("DIE", "").split()):
    os.kill(os.getpid(), 6)
with open(f"{sys.argv[4]}/1-flash_forward.1-72-final_bundles.txt", "w") as out:
    cycles = max(1, 60000 - size // 100)
    out.write("     0   :  { %1 = vdelay " + str(cycles) + " }\n"
              "   0x1   :  {} /* exit bundle: %flash_forward.1 */\n")
sys.stdout.buffer.write(open(os.environ["ANSWER"], "rb").read())
"""


class ListingCase(test_compile.CompileCase):
    """With that script for a compiler."""

    def setUp(self):
        super().setUp()
        (self.tools / "compiler.py").write_text(COMPILER)
        (self.tools / "answer").write_bytes(test_compile.artifact(b"x"))
        self.compiler(f"exec '{sys.executable}' '{self.tools}/compiler.py' "
                      '"$@"')
        self.environment.update(LOG=str(self.tools / "log"),
                                ANSWER=str(self.tools / "answer"))


class Tune(ListingCase):
    def tune(self, *arguments, **environment):
        return self.pflash("tune", "--op", "forward", *SHAPE, *arguments,
                           environment={**self.environment, **environment})

    def facts(self, *arguments, **environment):
        done = self.tune(*arguments, "--json", **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def compiled(self):
        """Programs that were compiled since this was last asked."""
        log = self.tools / "log"
        sizes = log.read_text().split() if log.exists() else []
        log.write_text("")
        return list(map(int, sizes))

    def test_search(self):
        facts = self.facts("--jobs", "4")
        rows = facts["candidates"]
        good = [row["cycles"] for row in rows if "cycles" in row]
        self.assertEqual(good, sorted(good))
        self.assertEqual(len(self.compiled()), len(good))
        tiles = [tuple(row["tiles"].items()) for row in rows]
        self.assertEqual(len(set(tiles)), len(tiles))
        # nothing is better one step from the best
        best = rows[0]["tiles"]
        for name in best:
            for value in 2 * best[name], best[name] // 2:
                near = tuple({**best, name: value}.items())
                self.assertTrue(near in tiles or best[name] == 1, near)
        failures = [row["failure"] for row in rows if "failure" in row]
        self.assertTrue(any("must be" in f for f in failures), failures)

    def test_product(self):
        facts = self.facts("--try", "block_q=256,512", "--try", "unroll=1,2,3")
        tried = {(row["tiles"]["block_q"], row["tiles"]["unroll"]):
                 "cycles" in row for row in facts["candidates"]}
        for block_q in 256, 512:
            for unroll in 1, 2, 3:
                self.assertEqual(tried[block_q, unroll], unroll != 3)

    def test_a_death_is_a_row(self):
        self.facts("--try", "unroll=1,2")
        sizes = self.compiled()
        facts = self.facts("--try", "unroll=1,2", DIE=str(sizes[-1]))
        failed = [r for r in facts["candidates"] if "failure" in r]
        self.assertEqual(len(failed), 1)
        self.assertIn("signal 6", failed[0]["failure"])
        done = self.tune("--try", "unroll=1,2",
                         DIE=" ".join(map(str, set(sizes))))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("no candidate can be compiled", done.stderr)

    def test_journal(self):
        first = self.facts("--try", "unroll=1,2", "--journal", "j")
        count = len(self.compiled())
        again = self.facts("--try", "unroll=1,2,8", "--journal", "j")
        self.assertEqual(len(self.compiled()), 1)  # unroll=8
        kept = [row for row in again["candidates"]
                if row in first["candidates"]]
        self.assertEqual(len(kept), count)
        # cut short and damaged, it is as good as what is left of it
        text = (self.folder / "j").read_text()
        (self.folder / "j").write_text("rubbish\n" + text[:-20])
        self.facts("--try", "unroll=1,2,8", "--journal", "j")
        self.assertEqual(len(self.compiled()), 1)
        # another model, other cycles
        self.facts("--try", "unroll=1,2,8", "--journal", "j", "--model",
                   "clock_ghz=1")
        self.assertEqual(len(self.compiled()), count + 1)

    def test_table(self):
        (self.folder / "t").write_text('/* tiles */\n"other v5e : x=1 : 2\\n"\n')
        facts = self.facts("--try", "unroll=1,8", "--out", "t")
        best = facts["candidates"][0]
        lines = (self.folder / "t").read_text().splitlines()
        self.assertEqual(lines[:2], ["/* tiles */",
                                     '"other v5e : x=1 : 2\\n"'])
        tiles = " ".join(f"{k}={v}" for k, v in best["tiles"].items())
        self.assertEqual(lines[2:], [f'"{facts["key"]} : {tiles} : '
                                     f'{best["cycles"]}\\n"'])
        # who compiles with the table gets those tiles
        done = self.pflash("compile", "--op", "forward", *SHAPE, "--emit",
                           "mosaic", "--out", "m", "--tuned", "t", "--json")
        self.assertEqual(json.loads(done.stdout)["tiles"], best["tiles"])
        # where the plan's own tiles are the best, the row goes
        done = self.pflash("compile", "--op", "forward", *SHAPE, "--emit",
                           "mosaic", "--out", "m", "--json")
        own = f"unroll={json.loads(done.stdout)['tiles']['unroll']}"
        self.facts("--try", own, "--out", "t")
        self.assertEqual((self.folder / "t").read_text().splitlines(),
                         lines[:2])

    def test_text(self):
        done = self.tune("--try", "unroll=1,3")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"\Aforward v5e bf16 full Sq=1024 Sk=1024")
        self.assertIn("(the plan's own)", done.stdout)
        self.assertIn("unroll is 3: must be a power of two", done.stdout)
        self.assertEqual(len(re.findall(r"(?m)^\[\d+/\d+\] ", done.stderr)), 3)

    def test_refused(self):
        for code, words, arguments in [
                (1, "no tile called 'blok'", ["--try", "blok=1"]),
                (2, "--try", ["--try", "unroll"]),
                (2, "--try", ["--try", "unroll=0"]),
                (2, "--try", ["--try", "unroll=1,"]),
                (2, "--jobs", ["--jobs", "0"]),
                (1, "--out", ["--out", "no/where"]),
                (1, "--journal", ["--journal", str(self.folder)])]:
            done = self.tune(*arguments)
            self.assertEqual((done.returncode, done.stdout), (code, ""), words)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    cli_case.main()
