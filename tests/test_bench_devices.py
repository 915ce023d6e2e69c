#!/usr/bin/env python3
"""Devices and other programs as peers: our kernels through PJRT, with the
simulator in the place of a TPU; plugins that are none, that cannot compile and
that die; scripts whose package is absent. Whatever they do, the benchmark goes
on, and what is simulated is never said to be measured on a TPU.

    test_bench_devices.py PFLASH FAKE_PLUGIN SIMULATOR [what unittest takes]
"""
import json
import os
import sys
import threading
import time
import unittest

import cli_case

FAKE, SIMULATOR = map(os.path.abspath, sys.argv[2:4])
del sys.argv[2:4]
SIMULATED = {"PFLASH_PJRT_PLUGIN": SIMULATOR, "PFLASH_PEER_SIMULATED": "1"}
# What a machine with a TPU or another Python might have.
CLEAN = {"PFLASH_PJRT_PLUGIN": "", "PFLASH_PEER_SIMULATED": ""}


class Case(cli_case.Case):
    def measure(self, *arguments, env=None):
        """The sides of each row that are not ours, and the report."""
        done = self.pflash("bench", "--suite", "smoke", "--threads", 1,
                           "--json", "r.json", *arguments,
                           environment={**CLEAN, **(env or {})})
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads((self.folder / "r.json").read_text())
        return [(row["cell"], row["sides"][1]) for row in report["rows"]
                ], report


class Devices(Case):
    def test_stand_in(self):
        """Every row that there are kernels for is run by them, and right."""
        rows, report = self.measure("--device", "tpu", env=SIMULATED)
        done = 0
        for cell, side in rows:
            if side["skipped"]:
                self.assertEqual(cell["dtype"], "f16", side["skipped"])
                continue
            done += 1
            self.assertTrue(side["passed"], cell["name"])
            self.assertIn("simulated", side["name"])
            self.assertTrue(side["device"].startswith("simulated"))
            self.assertIsNone(side["fraction_of_limit"])
        self.assertEqual(done, len(rows) - 1)
        # nothing of it is in the economy of a v5e
        for device in report["economics"]["devices"]:
            self.assertFalse(device["measured"])
        for cell in report["economics"]["cells"]:
            self.assertNotEqual(cell["estimates"][0]["evidence"], "A")

    def test_simulated_is_no_tpu(self):
        rows, _ = self.measure("--device", "tpu", "--part", "measured",
                               env={"PFLASH_PJRT_PLUGIN": SIMULATOR})
        for _, side in rows:
            self.assertIn("times would say nothing", side["skipped"])

    def test_no_tpu(self):
        if os.path.exists("/dev/accel0") or os.path.exists("/dev/vfio/0"):
            self.skipTest("there is one")
        rows, _ = self.measure("--device", "tpu", "--part", "measured")
        for _, side in rows:
            self.assertIn("no TPU", side["skipped"])

    def test_plugins(self):
        """A plugin that is none, one that cannot compile, one that dies."""
        (self.folder / "none.so").write_bytes(b"no library")
        for plugin, env, words in [
                ("none.so", {}, "none.so"),
                ("missing.so", {}, "missing.so"),
                (FAKE, {}, ""),  # of 1 MiB: infeasible, or no program
                (FAKE, {"FAKE_PLUGIN": "missing=Device_MemoryStats"},
                 "Compile"),
                (FAKE, {"FAKE_PLUGIN": "missing=Device_MemoryStats "
                        "dies_in=Client_Compile dies_of=6"}, "signal 6")]:
            with self.subTest(plugin=plugin, env=env):
                rows, _ = self.measure("--device", f"pjrt:{plugin}", "--part",
                                       "measured", env=env)
                for _, side in rows:
                    self.assertIn(words, side["skipped"])
                if not words:
                    self.assertTrue(any("infeasible" in side["skipped"]
                                        for _, side in rows))


class Scripts(Case):
    def test_absent(self):
        """A Python without packages: each script says what it lacks."""
        for peer, words in [("torch", "torch"), ("torch-cuda", "torch"),
                            ("jax", "jax"), ("llama.cpp", "numpy")]:
            with self.subTest(peer=peer):
                rows, _ = self.measure("--peer", peer, "--part", "measured",
                                       env={"PFLASH_PYTHON": self.bare()})
                for _, side in rows:
                    self.assertIn(words, side["skipped"])

    def bare(self):
        path = self.folder / "python"
        path.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I -c "'
                        "import runpy, sys; sys.argv = sys.argv[1:]; "
                        "sys.path.insert(0, sys.argv[0].rsplit('/', 1)[0]); "
                        'runpy.run_path(sys.argv[0], run_name=\'__main__\')" '
                        '"$@"\n')
        path.chmod(0o755)
        return str(path)


class Energy(Case):
    def test_counters(self):
        """A tree whose counter moves while the benchmark runs."""
        zone = self.folder / "powercap" / "intel-rapl:0"
        zone.mkdir(parents=True)
        (zone / "name").write_text("package-0\n")
        (zone / "max_energy_range_uj").write_text("1000000\n")
        counter, stop = zone / "energy_uj", threading.Event()

        def count():
            joules = 0
            while not stop.is_set():
                new = zone / "new"
                new.write_text(f"{joules % 1000001}\n")
                new.rename(counter)
                joules += 20000
                time.sleep(0.001)
        counter.write_text("0\n")
        thread = threading.Thread(target=count)
        thread.start()
        try:
            _, report = self.measure(
                "--part", "measured", "--peer", "./nobody",
                env={"PFLASH_POWERCAP": str(zone.parent),
                     "PFLASH_NVML": "none"})
        finally:
            stop.set()
            thread.join()
        metered = [meter for row in report["rows"]
                   for meter in row["sides"][0]["energy"]]
        self.assertTrue(metered)
        for meter in metered:
            self.assertEqual(meter["meter"], "rapl")
            self.assertGreater(meter["joules_per_run"], 0)

    def test_none(self):
        (self.folder / "empty").mkdir()
        _, report = self.measure(
            "--part", "measured", "--peer", "./nobody",
            env={"PFLASH_POWERCAP": str(self.folder / "empty"),
                 "PFLASH_NVML": "none"})
        for row in report["rows"]:
            self.assertEqual(row["sides"][0]["energy"], [])


class Prices(Case):
    def test_cpu(self):
        """A given price gives measured cells tokens per dollar, class A, and no
        verdict from a smoke run; it comes back with the report."""
        price = "cpu=0.1,2026-11-25,an invoice"
        _, report = self.measure("--price", price, "--peer", "./nobody")
        economics = report["economics"]
        self.assertEqual(economics["given_prices"], [
            {"device": "cpu", "usd_per_hour": 0.1, "as_of": "2026-11-25",
             "source": "an invoice"}])
        self.assertEqual(economics["devices"][-1]["name"], "cpu")
        for cell in economics["cells"]:
            row = next(r for r in report["rows"]
                       if r["cell"] == cell["cell"])
            mean = row["sides"][0]["summary"]["mean_seconds"]
            estimate = cell["estimates"][-1]
            self.assertEqual(estimate["evidence"], "A")
            self.assertAlmostEqual(estimate["seconds"]["value"] / mean, 1, 9)
            tokens = (cell["cell"]["batch"] * cell["cell"]["q_length"]
                      / cell["cell"]["layers"] / mean)
            self.assertAlmostEqual(
                cell["costs"][-1]["attention_tokens_per_usd"]["value"]
                / (tokens * 3600 / 0.1), 1, 9)
            verdict = cell["comparisons"][-1]
            self.assertEqual((verdict["b"], verdict["verdict"],
                              verdict["because"]),
                             ("cpu", "inconclusive", "a smoke run"))
        again = self.pflash("report", "r.json", "--json", "again.json")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual((self.folder / "r.json").read_bytes(),
                         (self.folder / "again.json").read_bytes())

    def test_refused(self):
        for price, words in [("cpu", "DEVICE=USD"), ("cpu=1", "DEVICE=USD"),
                             ("cpu=1,2026-11-25", "DEVICE=USD"),
                             ("cpu=0,2026-11-25,x", "above 0"),
                             ("cpu=-1,2026-11-25,x", "above 0"),
                             ("cpu=nan,2026-11-25,x", "above 0"),
                             ("cpu=1,2026,x", "a day"),
                             ("cpu=1,tomorrow,x", "a day"),
                             ("cpu=1,2026-11-25,", "a source"),
                             ("=1,2026-11-25,x", "a device")]:
            with self.subTest(price=price):
                done = self.pflash("bench", "--suite", "smoke", "--price",
                                   price)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(words, done.stderr)
                self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    cli_case.main()
