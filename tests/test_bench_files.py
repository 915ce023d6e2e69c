#!/usr/bin/env python3
"""What the benchmark writes and reads: every JSON keeps its published schema,
reports are told again and compared, and bad files are refused with the file,
the place and the reason.

    test_bench_files.py PFLASH [what unittest takes]
"""
import copy
import csv
import json
import pathlib
import sys
import unittest

import cli_case
import json_schema

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "bench" / "data"


def schema(name):
    return json.loads((ROOT / "docs" / f"{name}.schema.json").read_text())


class Case(cli_case.Case):
    def bench(self, *arguments, **options):
        return self.pflash("bench", "--suite", "smoke", "--threads", 1,
                           *arguments, **options)

    def report(self, name="r.json", *arguments):
        done = self.bench("--json", name, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads((self.folder / name).read_text())

    def refused(self, done, *words, code=1):
        """One line that has the words, and nothing on stdout."""
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        for word in words:
            self.assertIn(word, done.stderr)


class Schemas(Case):
    def check(self, value, name):
        self.assertEqual(json_schema.check(value, schema(name)), [])

    def test_report(self):
        self.check(self.report(), "bench")
        self.check(self.report("m.json", "--part", "measured"), "bench")
        self.check(self.report("e.json", "--part", "estimated"), "bench")
        self.check(self.report("p.json", "--processes", 2), "bench")
        self.check(self.report("t.json", "--peer", "./nobody"), "bench")

    def test_comparison(self):
        self.report("a.json")
        self.report("b.json")
        done = self.pflash("bench", "compare", "a.json", "b.json", "--json",
                           "c.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        value = json.loads((self.folder / "c.json").read_text())
        self.check(value, "compare")
        self.assertTrue(all(row["caution"] == "smoke" and
                            row["verdict"] == "inconclusive"
                            for row in value["rows"]))

    def test_shortage(self):
        """A verdict needs as many processes and runs as the plan says; what
        it says is then as the numbers are."""
        report = self.report("a.json", "--part", "measured")
        report["manifest"]["effort"]["smoke"] = False
        for row in report["rows"]:
            for samples in [row["limit"], row["sides"][0]]:
                one = samples["processes"][0]
                one["seconds"] = [0.01 + 1e-6 * (i % 3) for i in range(20)]
                one["waited_seconds"] = [0.0] * 20
                one["batch"] = 1
        (self.folder / "a.json").write_text(json.dumps(report))
        plan = json.loads((DATA / "plan.json").read_text())
        for processes, runs, caution, verdict in [
                (6, 10, "1 of 6 processes", "inconclusive"),
                (1, 21, "20 of 21 runs", "inconclusive"),
                (1, 20, None, "equivalent")]:
            plan["min_processes"], plan["min_runs"] = processes, runs
            (self.folder / "plan.json").write_text(json.dumps(plan))
            done = self.pflash("bench", "compare", "a.json", "a.json",
                               "--plan", "plan.json", "--json", "c.json")
            self.assertEqual(done.returncode, 0, done.stderr)
            for row in json.loads((self.folder / "c.json").read_text())["rows"]:
                self.assertEqual((row["caution"], row["verdict"]),
                                 (caution, verdict))

    def test_plan(self):
        self.check(json.loads((DATA / "plan.json").read_text()), "plan")

    def test_the_checker_sees_faults(self):
        """Every member of a report taken away, or of another type, is seen."""
        good = self.report()
        good["rows"], good["economics"]["cells"] = (
            good["rows"][:1], good["economics"]["cells"][:1])
        seen = 0

        def spoil(value):
            """Yields after each change that it makes, and undoes it."""
            if isinstance(value, dict):
                for key in list(value):
                    kept = value.pop(key)
                    yield
                    value[key] = ["no"] if not isinstance(kept, list) else "no"
                    yield
                    value[key] = kept
                    yield from spoil(kept)
            elif isinstance(value, list) and value:
                yield from spoil(value[0])

        shape = schema("bench")
        whole = copy.deepcopy(good)
        for _ in spoil(whole):
            seen += bool(json_schema.check(whole, shape))
            if seen == 0:
                self.fail("a fault is not seen")
        # the optional members are all that may go
        self.assertEqual(whole, good)
        self.assertGreater(seen, 300)


class Forecasts(Case):
    """Where there is no TPU compiler there is no prediction, and a reason."""

    def forecast(self, suite):
        done = self.pflash(
            "bench", "--suite", suite, "--part", "predicted", "--json",
            "f.json", "--html", "f.html", "--csv", "f.csv",
            environment={"PFLASH_LIBTPU": "/no/libtpu.so"})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("predicted (class B), never measured", done.stdout)
        return json.loads((self.folder / "f.json").read_text())

    def test_none(self):
        for suite, op in ("training", "backward"), ("decode", "decode"):
            value = self.forecast(suite)
            self.assertEqual(json_schema.check(value, schema("bench")), [])
            cells = value["forecast"]["cells"]
            self.assertIn(op, {cell["cell"]["op"] for cell in cells})
            self.assertTrue(value["forecast"]["peers_skipped"])
            for cell in cells:
                ours, = cell["sides"]
                self.assertIn("/no/libtpu.so", ours["skipped"])
                self.assertGreater(cell["bound_seconds"], 0)

    def test_refused(self):
        done = self.pflash("bench", "--part", "predicted")
        self.refused(done, "the suite quick predicts no kernels alone")

    def test_told_again(self):
        self.forecast("decode")
        done = self.pflash("report", "f.json", "--json", "2.json", "--html",
                           "2.html", "--csv", "2.csv")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("decode 8192 page 16 bf16", done.stdout)
        for kind in "json", "html", "csv":
            self.assertEqual((self.folder / f"f.{kind}").read_bytes(),
                             (self.folder / f"2.{kind}").read_bytes(), kind)


STAND_IN = r"""
import glob, json, os, shutil, sys
how, listings = os.environ["STAND_IN"], os.environ["LISTINGS"]
open("asked", "a").write("start\n")
for line in sys.stdin:
    question = json.loads(line)
    answer = {"done": True}
    way, directory = question.get("way"), question.get("directory")
    if question.get("versions"):
        answer = {"skip": "no \x1b jax"} if how == "skip" else {
            "versions": "jax 0"}
    elif how == "dies":
        sys.exit("of shame")
    elif how == "garbage":
        answer = ["no object"]
    elif way < 2:
        open("asked", "a").write("way\n")
        answer = {"title": f"paged {way}", "kernels": ["double"], "without": []}
        for file in glob.glob(listings + "/1-double_buffer*") * (how != "empty"):
            shutil.copy(file, directory)
        json.dump([{"program": "double", "operand": 0, "words": [1] * 16}],
                  open(directory + "/inputs.json", "w"))
    elif way == 2:
        answer = {"title": "ragged 1", "failed": "as it\nmust"}
    print(json.dumps(answer), flush=True)
"""


class Peers(Case):
    """JAX's kernels by a stand-in for its script, which leaves a listing of the
    tests' own. There is no compiler: the plugin is an empty file."""

    def forecast(self, how, cache=""):
        (self.folder / "jax_tpu.py").write_text(STAND_IN)
        plugin = self.folder / "libtpu.so"  # its time is part of the key
        plugin.exists() or plugin.touch()
        (self.folder / "asked").write_text("")
        done = self.pflash(
            "bench", "--suite", "decode", "--part", "predicted", "--json",
            "f.json", environment={
                "PFLASH_LIBTPU": str(plugin),
                "PFLASH_PEERS": str(self.folder), "PFLASH_CACHE": cache,
                "PFLASH_PYTHON": sys.executable, "STAND_IN": how,
                "LISTINGS": str(ROOT / "tests" / "listings")})
        self.assertEqual(done.returncode, 0, done.stderr)
        value = json.loads((self.folder / "f.json").read_text())
        self.assertEqual(json_schema.check(value, schema("bench")), [])
        return value["forecast"], (self.folder / "asked").read_text()

    def test_best_and_failed(self):
        forecast, asked = self.forecast("well")
        self.assertEqual(forecast["peers"], "jax 0")
        self.assertIsNone(forecast["peers_skipped"])
        for cell in forecast["cells"]:
            _, paged, ragged = cell["sides"]
            self.assertEqual(paged["name"], "paged 0")
            self.assertIn("void", paged["skipped"] or "void")
            self.assertEqual(ragged["skipped"], "as it\\x0amust")
        self.assertEqual(asked.count("way"), 2 * len(forecast["cells"]))

    def test_kept(self):
        """What was predicted once is not asked for again."""
        cache = str(self.folder / "cache")
        first, asked = self.forecast("well", cache)
        self.assertGreater(asked.count("way"), 0)
        again, asked = self.forecast("well", cache)
        self.assertEqual(asked, "start\n")
        self.assertEqual(again, first)
        for kept in (self.folder / "cache" / "predictions").iterdir():
            kept.write_text("damaged")
        again, asked = self.forecast("well", cache)
        self.assertGreater(asked.count("way"), 0)
        self.assertEqual(again, first)

    def test_no_listing(self):
        for cell in self.forecast("empty")[0]["cells"]:
            self.assertTrue(cell["sides"][1]["skipped"])

    def test_skipped(self):
        forecast, _ = self.forecast("skip")
        self.assertIsNone(forecast["peers"])
        self.assertEqual(forecast["peers_skipped"], "no \\x1b jax")
        self.assertTrue(all(len(cell["sides"]) == 1
                            for cell in forecast["cells"]))

    def test_bad(self):
        """It is given up after two failures."""
        for how, words in ("dies", "of shame"), ("garbage", "no JSON object"):
            cells = self.forecast(how)[0]["cells"]
            self.assertIn(words, cells[0]["sides"][1]["skipped"])
            self.assertEqual(len(cells[-1]["sides"]), 1)


class Reports(Case):
    def test_told_again(self):
        """The same from the JSON as from the run, byte for byte."""
        self.report("r.json", "--html", "r.html", "--csv", "r.csv")
        done = self.pflash("report", "r.json", "--json", "2.json", "--html",
                           "2.html", "--csv", "2.csv")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("forward causal 96", done.stdout)
        for kind in "json", "html", "csv":
            self.assertEqual((self.folder / f"r.{kind}").read_bytes(),
                             (self.folder / f"2.{kind}").read_bytes(), kind)

    def test_csv(self):
        value = self.report("r.json", "--csv", "r.csv")
        with open(self.folder / "r.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        cells = value["economics"]["cells"]
        self.assertEqual(len(rows), len(value["rows"]) + 6 * len(cells))
        for row, measured in zip(rows, value["rows"]):
            side = measured["sides"][0]
            self.assertEqual(row["cell"], measured["cell"]["name"])
            self.assertEqual(float(row["seconds"]),
                             side["summary"]["median_seconds"])
        for row in rows[len(value["rows"]):]:
            usd = float(row["usd_per_million_attention_tokens"])
            self.assertAlmostEqual(
                usd * float(row["attention_tokens_per_usd"]), 1e6, delta=1)

    def test_other_prices(self):
        """One experiment answers every price: rho moves with it, r does not."""
        before = self.report()
        lines = (DATA / "prices.csv").read_text().splitlines()
        changed = [lines[0]]
        for line in lines[1:]:
            if ",v5e,4," in line and ",on-demand," in line:
                line = line.replace(",4.8,", ",2.4,")
            changed.append(line)
        (self.folder / "half.csv").write_text("\n".join(changed) + "\n")
        done = self.pflash("report", "r.json", "--prices", "half.csv",
                           "--json", "after.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        after = json.loads((self.folder / "after.json").read_text())
        for one, other in zip(before["economics"]["cells"],
                              after["economics"]["cells"]):
            for a, b in zip(one["comparisons"], other["comparisons"]):
                self.assertEqual(a["throughput_ratio"], b["throughput_ratio"])
                self.assertAlmostEqual(b["advantage"]["value"],
                                       2 * a["advantage"]["value"])
                self.assertEqual(a["parity_usd_per_hour"],
                                 b["parity_usd_per_hour"])

    def test_every_number_has_its_class(self):
        value = self.report()["economics"]
        for cell in value["cells"]:
            for estimate in cell["estimates"]:
                self.assertTrue(estimate["skipped"] or
                                estimate["evidence"] in "ABCD")
            for comparison in cell["comparisons"]:
                self.assertEqual(comparison["standing"], "projected")
        for pair in value["published"]:
            self.assertEqual(pair["evidence"], "D/D")
        anchor = next(pair for pair in value["published"]
                      if "GPT-J" in pair["model"] and pair["b"]["chip"] == "L4")
        self.assertAlmostEqual(anchor["throughput_ratio"]["value"], 7.542,
                               delta=5e-4)
        self.assertAlmostEqual(
            anchor["parity_usd_per_chip_hour"]["value"], 1.333, delta=5e-4)


class BadInput(Case):
    def prices(self, change):
        lines = (DATA / "prices.csv").read_text().splitlines()
        (self.folder / "p.csv").write_text(
            "\n".join(change(lines)) + "\n")
        return self.bench("--prices", "p.csv")

    def test_prices(self):
        def unknown_kind(lines):
            return [lines[0], lines[1].replace("capacity-block", "monthly")]

        def negative(lines):
            return [lines[0], lines[1].replace(",14.75,", ",-14.75,")]

        def missing(lines):
            return [line.replace(",kind", "").replace(",capacity-block", "")
                    for line in lines[:2]]

        self.refused(self.prices(unknown_kind), "p.csv:2: kind is ",
                     "monthly", "on-demand, spot")
        self.refused(self.prices(negative), "p.csv:2: usd_per_hour is ",
                     "-14.75", "above 0")
        self.refused(self.prices(missing), "p.csv:1: column kind is missing")
        self.refused(self.bench("--prices", "none.csv"), "none.csv")
        self.refused(self.bench("--data", "nowhere"), "nowhere/hardware.csv")

    def test_plans(self):
        plan = json.loads((DATA / "plan.json").read_text())
        plan["delta"] = -1
        (self.folder / "p.json").write_text(json.dumps(plan))
        self.refused(self.bench("--plan", "p.json"), "p.json: ", "delta")

    def test_other_workloads(self):
        a = self.report("a.json")
        a["rows"].pop()
        (self.folder / "b.json").write_text(json.dumps(a))
        done = self.pflash("bench", "compare", "a.json", "b.json")
        self.refused(done, "the workloads differ", "a.json has",
                     "b.json has not")
        done = self.pflash("bench", "compare", "b.json", "a.json")
        self.refused(done, "the workloads differ", "a.json has")
        self.refused(self.pflash("bench", "compare", "a.json"), "two reports",
                     code=2)
        self.refused(self.pflash("bench", "confront", "a.json", "b.json"),
                     "confront", code=2)

    def test_no_reports(self):
        (self.folder / "x.json").write_text("{}")
        self.refused(self.pflash("report", "x.json"), "x.json: schema is")
        self.refused(self.pflash("report", "none.json"), "none.json")
        self.refused(self.pflash("report"), "REPORT.json is missing", code=2)
        value = self.report("r.json")
        value["schema"]["version"] = 1
        (self.folder / "r.json").write_text(json.dumps(value))
        self.refused(self.pflash("report", "r.json"), "version must be")


if __name__ == "__main__":
    cli_case.main()
