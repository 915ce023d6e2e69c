"""pflash schedule: what it says of listings, and what it refuses.

    test_schedule_cli.py PFLASH              all tests
    test_schedule_cli.py PFLASH --rewrite    and writes tests/golden/schedule.txt
"""
import html.parser
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

import cli_case
import test_tune

TESTS = pathlib.Path(__file__).resolve().parent
LISTINGS = TESTS / "listings"
EXCHANGE = LISTINGS / "1-exchange.1-72-final_bundles.txt"
BUFFER = LISTINGS / "1-double_buffer.1-72-final_bundles.txt"


class Page(html.parser.HTMLParser):
    """Whether every tag that opens closes, and what text there is."""
    VOID = {"meta", "rect", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.rects = [], [], 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.rects += tag == "rect"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.words.append(data)


class Schedule(cli_case.Case):
    def done(self, *arguments):
        done = self.pflash("schedule", *map(str, arguments))
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return done.stdout

    def facts(self, *arguments):
        return json.loads(self.done(*arguments, "--json"))

    def cycles(self, *arguments):
        return self.facts(*arguments)["programs"][0]["cycles"]

    def refused(self, code, *arguments):
        done = self.pflash("schedule", *map(str, arguments))
        self.assertEqual((done.returncode, done.stdout), (code, ""), arguments)
        self.assertTrue(done.stderr.startswith("pflash schedule: "))
        return done.stderr

    def test_text(self):
        cli_case.compare_golden(self, TESTS / "golden/schedule.txt",
                                self.done(LISTINGS))

    def test_json(self):
        facts = self.facts(LISTINGS)
        self.assertEqual(facts["evidence"], "predicted by the cycle model")
        self.assertEqual([p["name"] for p in facts["programs"]],
                         ["double_buffer.1", "exchange.1"])
        for program in facts["programs"]:
            self.assertEqual(sum(program["cycles_by_cause"].values()),
                             program["cycles"])
            self.assertAlmostEqual(program["time_us"],
                                   program["cycles"] / 1500)
            self.assertEqual(sum(r["cycles"] for r in program["regions"]),
                             program["cycles"])
        buffer, exchange = facts["programs"]
        self.assertEqual((buffer["chips"], exchange["chips"]), (1, 4))
        self.assertEqual(buffer["hbm_read_bytes"], 16 * 64 * 128 * 4)
        self.assertEqual(exchange["remote_bytes"], 4096)

    def test_flops(self):
        program = self.facts(BUFFER, "--flops", "1e6")["programs"][0]
        self.assertAlmostEqual(program["flop_fraction"],
                               1e6 / program["cycles"] / 131072)

    def test_model(self):
        cycles = self.cycles(EXCHANGE)
        slower = self.cycles(EXCHANGE, "--model", "hop_us=2")
        self.assertEqual(slower, cycles + 2 * 1500)
        (self.folder / "c.json").write_text(
            '{"hop_us": 3, "dispatch_us": 90, "about": {"probes": []}}')
        measured = self.cycles(EXCHANGE, "--calibration", "c.json")
        self.assertEqual(measured, cycles + 4 * 1500)
        program = self.facts(EXCHANGE, "--calibration", "c.json")["programs"][0]
        self.assertAlmostEqual(program["time_with_dispatch_us"],
                               program["time_us"] + 90)
        both = self.cycles(EXCHANGE, "--calibration", "c.json", "--model",
                           "hop_us=2")
        self.assertEqual(both, slower)

    def test_page(self):
        """docs/cycle-model.md has every number of the model."""
        page = (TESTS.parent / "docs/cycle-model.md").read_text()
        told = {name: float(value) for name, value in
                re.findall(r"(?m)^\| ([a-z0-9_]+) \| ([0-9.]+) \| ", page)}
        self.assertEqual(told, self.facts(EXCHANGE)["model"])

    def test_files(self):
        self.done(LISTINGS, "--html", "a.html", "--trace", "a.json")
        page = Page((self.folder / "a.html").read_text())
        self.assertEqual(page.open, [])
        self.assertGreater(page.rects, 100)
        self.assertIn("exchange.1", "".join(page.words))
        trace = json.loads((self.folder / "a.json").read_text())
        spans = [e for e in trace["traceEvents"] if e["ph"] == "X"]
        self.assertTrue(all(e["dur"] > 0 and e["ts"] >= 0 for e in spans))
        reads = [e for e in spans if e["name"].startswith("HBM to VMEM")]
        self.assertEqual(len(reads), 16)
        self.done(EXCHANGE, "--trace", "b.json")
        trace = json.loads((self.folder / "b.json").read_text())
        self.assertEqual({e["pid"] for e in trace["traceEvents"]}, {0, 1, 2, 3})

    def test_refused(self):
        before = self.files()
        self.assertIn("cut short", self.refused(1, self.cut()))
        (self.folder / "cut.txt").unlink()
        for code, words, arguments in [
                (2, "neither LISTING nor --op", []),
                (2, "LISTING and --op", [EXCHANGE, "--op", "forward"]),
                (2, "--shape", ["--op", "forward"]),
                (2, "LISTING is given twice", [EXCHANGE, EXCHANGE]),
                (2, "must be v5e", ["--op", "forward", "--shape",
                                    "1,1,1,8,8,64", "--target", "v6e:2x2"]),
                (2, "--lengths", [EXCHANGE, "--lengths", "3"]),
                (2, '"hops" is no number', [EXCHANGE, "--model", "hops=1"]),
                (2, "must be", [EXCHANGE, "--model", "hop_us=-1"]),
                (2, "must be", [EXCHANGE, "--model", "hbm_gbs=0"]),
                (2, "--input", [EXCHANGE, "--input", "3"]),
                (2, "--limit", [EXCHANGE, "--limit", "0"]),
                (1, "nowhere", ["nowhere"]),
                (1, "no listing", [TESTS / "golden"]),
                (1, "is no listing", [TESTS / "golden/help.txt"]),
                (1, "exchange.1", [EXCHANGE, "--kernel", "x"]),
                (1, "--whole", [EXCHANGE, "--whole"]),
                (1, "no 32-bit integer", [EXCHANGE, "--input", "0=x"]),
                (1, "--input", [EXCHANGE, "--input", "0=@nowhere"]),
                (1, "--calibration", [EXCHANGE, "--calibration", "nowhere"]),
                (1, "100 cycles", [BUFFER, "--limit", "100"]),
                (1, "--html", [EXCHANGE, "--html", "no/where"]),
                (1, "--trace", [EXCHANGE, "--trace", "no/where"])]:
            self.assertIn(words, self.refused(code, *arguments))
        self.assertEqual(before, self.files())

    def cut(self):
        (self.folder / "cut.txt").write_text(EXCHANGE.read_text()[:3000])
        return "cut.txt"

    def test_calibrating_refused(self):
        """Only what a TPU took is a measurement."""
        for arguments in [], ["--device", "cpu"], ["--device", "sim"]:
            done = self.pflash("bench", "--calibration", "c.json", *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("it needs --device tpu", done.stderr)
        for arguments in ["--suite", "smoke"], ["--seed", "3"], ["--json", "j"]:
            done = self.pflash("bench", "--calibration", "c.json", "--device",
                               "tpu", *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(f"{arguments[0]} is given: --calibration", done.stderr)
        simulator = pathlib.Path(cli_case.program).parent / "libpflash_sim.so"
        done = self.pflash("bench", "--calibration", "c.json", "--device", "tpu",
                           environment={"PFLASH_PJRT_PLUGIN": str(simulator)})
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("simulates its chips", done.stderr)
        self.assertEqual(self.files(), {})

    def test_calibration_refused(self):
        for text in ["", "[]", '{"hbm_gbs": "fast"}', '{"hbm_gbs": 0}',
                     '{"hop": 1}', '{"hop_us": 1e300}', '{"hop_us": null}']:
            (self.folder / "c.json").write_text(text)
            self.assertIn("c.json", self.refused(1, EXCHANGE, "--calibration",
                                                 "c.json"))


class Compiled(test_tune.ListingCase):
    """What is compiled to be scheduled: the script's listings are of a program
    called flash_forward, and of no other."""

    def schedule(self, *arguments, **environment):
        return self.pflash("schedule", *arguments,
                           environment={**self.environment, **environment})

    def program(self, *arguments):
        done = self.schedule("--op", "forward", *arguments, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["programs"][0]

    def test_useful_flops(self):
        """By the field's convention, and of the pairs in a window."""
        B, H, S, D = 1, 2, 300, 64
        shape = ["--shape", f"{B},{H},{H},{S},{S},{D}"]

        def pairs(left, right):
            return sum(max(0, min(S - 1, i + right) - max(0, i - left) + 1)
                       for i in range(S))
        full = 4 * B * H * S * S * D
        for arguments, flops, how in [
                ([], full, "4 B Hq Sq Sk D"),
                (["--causal"], full / 2, "halved"),
                (["--window", "-1,-1"], full, "4 B Hq Sq Sk D"),
                (["--window", "70,0"], 4 * B * H * D * pairs(70, 0), "each pair"),
                (["--window", "-1,9"], 4 * B * H * D * pairs(S, 9), "each pair"),
                (["--window", "5,3"], 4 * B * H * D * pairs(5, 3), "each pair"),
                (["--segments"], full, "one segment")]:
            program = self.program(*shape, *arguments)
            self.assertEqual(program["flops"], flops, arguments)
            self.assertAlmostEqual(program["flop_fraction"],
                                   flops / program["cycles"] / 131072)
            self.assertIn(how, program["work_counted"])

    SLOW = ["--shape", "1,2,2,384,384,64"]

    def begin(self, command, *arguments):
        """A pflash whose compiler takes its time, once that has begun."""
        self.compiler(f"touch '{self.tools}/begun'; sleep 20")
        environment = {**os.environ, **self.environment, "PFLASH_CACHE": "",
                       "TMPDIR": str(self.folder)}
        process = subprocess.Popen(
            [cli_case.program, command, *arguments], cwd=self.folder,
            env=environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.await_that((self.tools / "begun").exists)
        return process

    def await_that(self, condition):
        for _ in range(500):
            if condition():
                return
            time.sleep(0.02)
        self.fail("in vain")

    def left(self):
        return [path.name for path in self.folder.iterdir() if path.is_dir()
                and path.name.startswith(".pflash")]

    def test_stopped(self):
        """By a signal that can be caught, it leaves nothing behind."""
        for command in (["schedule"], ["compile", "--emit", "listing", "--out",
                                       "out"]):
            for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
                process = self.begin(*command, "--op", "forward", *self.SLOW)
                self.assertEqual(len(self.left()), 1)
                process.send_signal(number)
                self.assertEqual(process.wait(20), -number)
                self.assertEqual(self.left(), [])
                (self.tools / "begun").unlink()

    def test_stopped_tune(self):
        """What it started goes with it, however it ends."""
        process = self.begin("tune", "--op", "forward", *self.SLOW)
        process.kill()
        process.wait(20)
        self.await_that(lambda: not self.left())

    def test_killed(self):
        """By one that cannot, the next one removes what is left."""
        process = self.begin("schedule", "--op", "forward", *self.SLOW)
        process.kill()
        process.wait(20)
        self.assertEqual(len(self.left()), 1)
        self.compiler(f"exec '{sys.executable}' '{self.tools}/compiler.py' "
                      '"$@"')
        done = self.schedule("--op", "forward", *self.SLOW,
                             TMPDIR=str(self.folder))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.left(), [])


if __name__ == "__main__":
    cli_case.main()
