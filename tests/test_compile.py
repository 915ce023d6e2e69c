"""pflash compile without the TPU's compiler: the texts it writes, and what
becomes of it when the compiler's process answers, refuses, dies or says nothing.
That process is played by shell scripts here; compile_tpu.py has the real one.

    test_compile.py PFLASH              all tests
    test_compile.py PFLASH --rewrite    and writes tests/golden/compile.txt
"""
import hashlib
import json
import pathlib
import re
import struct
import unittest

import cli_case

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden/compile.txt"
SHAPE = ["--shape", "1,2,2,512,512,128"]
FORWARD = ["compile", "--op", "forward", *SHAPE]


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(value)) + value


def packed(payload):
    return (b"PFLASH1\n" + struct.pack("<Q", len(payload)) +
            hashlib.sha256(payload).digest() + payload)


def artifact(executable, costs=()):
    """What pflash-compiler answers (src/pjrt/artifact.h)."""
    return packed(struct.pack("<I", 0) + text("fake 1\nbuilt by hand") +
                  struct.pack("<12q", *range(12)) +
                  struct.pack("<I", len(costs)) +
                  b"".join(text(name) + struct.pack("<d", value)
                           for name, value in costs) + text(executable))


def refusal(status, message):
    return packed(struct.pack("<I", status) + text(message))


class CompileCase(cli_case.Case):
    def setUp(self):
        super().setUp()
        self.tools = self.folder / "tools"
        self.tools.mkdir()
        (self.tools / "libtpu.so").write_bytes(b"no library")
        self.environment = {
            "PFLASH_LIBTPU": str(self.tools / "libtpu.so"),
            "PFLASH_CACHE": str(self.tools / "cache"),
            "PFLASH_COMPILER": str(self.tools / "compiler"),
            "LIBTPU_INIT_ARGS": ""}

    def compiler(self, script):
        """What is to be run in place of pflash-compiler; its arguments are
        PLUGIN TOPOLOGY OPTIONS [LISTING_DIR]."""
        path = self.tools / "compiler"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def answer(self, content, before="cat >/dev/null"):
        (self.tools / "answer").write_bytes(content)
        self.compiler(f"{before}\ncat '{self.tools}/answer'")

    def compile(self, *arguments, **environment):
        return self.pflash(*FORWARD, *arguments,
                           environment={**self.environment, **environment})

    def done(self, *arguments, **environment):
        done = self.compile(*arguments, **environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def made(self):
        """What is beside the tools."""
        return sorted(path.name for path in self.folder.iterdir()
                      if path.name != "tools")

    def refused(self, message, *arguments, **environment):
        """Exit code 1, one line that matches, and nothing left behind."""
        before = self.made()
        done = self.compile(*arguments, **environment)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.assertRegex(done.stderr, r"\Apflash compile: [^\n]+\n\Z")
        self.assertRegex(done.stderr, message)
        self.assertEqual(before, self.made())

    def refused_all(self, message, *arguments, **environment):
        """The same for an executable and for a listing."""
        for emit in ["executable", "listing"]:
            with self.subTest(emit):
                self.refused(message, "--emit", emit, "--out", "out",
                             *arguments, **environment)


class Texts(CompileCase):
    def test_same_everywhere(self):
        """On stdout and in a file, again and again, without a compiler."""
        for emit in ["mosaic", "stablehlo"]:
            shown = self.done("--emit", emit, "--out", "-", PFLASH_LIBTPU="")
            for time in range(2):
                self.done("--emit", emit, "--out", f"{emit}.mlir",
                          PFLASH_LIBTPU="", PFLASH_COMPILER="/none")
                self.assertEqual((self.folder / f"{emit}.mlir").read_text(),
                                 shown)
        self.assertIn('"stable_mosaic.tpu.matmul"',
                      (self.folder / "mosaic.mlir").read_text())
        self.assertIn("mhlo.num_replicas = 1", shown)
        self.assertEqual(self.made(), ["mosaic.mlir", "stablehlo.mlir"])

    def test_options_matter(self):
        """Every option of the problem and the plan makes another program, or
        the kernel says that it cannot do so yet."""
        decode = ["compile", "--op", "decode", "--shape", "2,8,2,1,2048,128"]
        both = ["", "--window 300,-1", "--softcap 3", "--scale 3", "--sinks",
                "--lse", "--dtype f32"]
        for command, least, options in [
                (FORWARD, 6, [*both, "--causal", "--segments",
                              "--tile block_q=256"]),
                (decode, 6, [*both, "--cache-dtype int8", "--page 128",
                             "--chips 4", "--tile ring=2"])]:
            texts = {}
            for option in options:
                done = self.pflash(*command, *option.split(), "--emit",
                                   "stablehlo", "--out", "-")
                if done.returncode == 1 and done.stderr.endswith(" yet\n"):
                    continue
                self.assertEqual((done.returncode, done.stderr), (0, ""),
                                 option)
                texts.setdefault(done.stdout, []).append(option)
            for same in texts.values():
                self.assertEqual(len(same), 1, same)
            self.assertGreaterEqual(len(texts), least)

    def test_facts(self):
        facts = json.loads(self.done(
            "--causal", "--window", "3,-1", "--scale", "2", "--emit", "mosaic",
            "--out", "k.mlir", "--tile", "block_q=256", "--json"))
        self.assertEqual(facts["shape"], {"B": 1, "Hq": 2, "Hkv": 2, "Sq": 512,
                                          "Sk": 512, "D": 128})
        self.assertEqual(facts["tiles"]["block_q"], 256)
        self.assertEqual([facts[name] for name in [
            "op", "dtype", "causal", "window", "scale", "target", "chips",
            "kernels", "emit", "out"]],
            ["forward", "bf16", True, [3, -1], 2, "v5e:2x2", 1,
             ["flash_forward"], "mosaic", "k.mlir"])
        self.assertEqual(facts["out_bytes"],
                         (self.folder / "k.mlir").stat().st_size)
        self.assertNotIn("compiler", facts)

    def test_golden(self):
        """What success looks like, but for the times and the plans."""
        self.answer(artifact(b"executable", [("flops", 12.0),
                                             ("bytes accessed", 34.5)]))
        transcript = []
        for line in ["--causal --emit mosaic --out k.mlir",
                     "--emit stablehlo --out p.mlir",
                     "--emit executable --out x", "--emit executable --out x",
                     "--emit executable --out x --json",
                     "--emit listing --out dir"]:
            shown = self.done(*line.split())
            shown = re.sub(r"[0-9.e+-]+( ms|,\"(compiler|emit)\")", r"#\1", shown)
            shown = re.sub(r"mlir, \d+ bytes", "mlir, # bytes", shown)
            shown = re.sub(r"(plan|tiles)   .*", r"\1   #", shown)
            shown = re.sub(r'"plan":".*?","tiles":{.*?}', '"plan":#,"tiles":#',
                           shown)
            transcript.append(f"$ pflash {' '.join(FORWARD)} {line}\n{shown}")
        cli_case.compare_golden(self, GOLDEN, "\n".join(transcript))

    def test_unplannable(self):
        for line, message in [
                ("--tile blok_q=256", "blok_q"),
                ("--tile block_q=7", "block_q"),
                ("--tile block_q=4611686018427387904", "block_q"),
                ("--tile unroll=65536", "unroll")]:
            for emit in ["mosaic", "stablehlo", "executable", "listing"]:
                self.refused(message, *line.split(), "--emit", emit, "--out",
                             "out")

    def test_places(self):
        """--out that cannot be, told before anything is compiled."""
        self.compiler("touch '$0.ran'")
        (self.folder / "full").mkdir()
        (self.folder / "full/mine").write_bytes(b"")
        for emit, out, message in [
                ("mosaic", "no/x", "--out: cannot .* no/x: No such file"),
                ("mosaic", "full", "--out: full is a directory"),
                ("executable", "no/x", "--out: cannot .* no/x: No such file"),
                ("listing", "no/x", "--out: cannot .* no/x: No such file"),
                ("listing", "full", "--out: full holds files and no pflash")]:
            self.refused(message, "--emit", emit, "--out", out)
        self.assertFalse((self.tools / "compiler.ran").exists())
        self.assertTrue((self.folder / "full/mine").exists())


class Compiler(CompileCase):
    def test_answer(self):
        self.answer(artifact(b"\0\1executable"),
                    'cat >"$0.module"; echo "$2 $3" >"$0.request"; '
                    "echo chatter >&2")
        facts = json.loads(self.done("--emit", "executable", "--out", "x",
                                     "--json"))
        self.assertEqual((self.folder / "x").read_bytes(), b"\0\1executable")
        self.assertEqual((self.tools / "compiler.module").read_text(),
                         self.done("--emit", "stablehlo", "--out", "-"))
        self.assertEqual((self.tools / "compiler.request").read_text(),
                         "v5e:2x2 1a0420012801\n")
        self.assertEqual((facts["compiler"], facts["from_cache"],
                          facts["memory_bytes"]["argument"]),
                         ("fake 1\nbuilt by hand", False, 1))

    def test_cache(self):
        cache = self.tools / "cache"

        def ask(**environment):
            facts = json.loads(self.done("--emit", "executable", "--out", "x",
                                         "--json", **environment))
            return (self.folder / "x").read_bytes(), facts["from_cache"]

        self.answer(artifact(b"first"))
        self.assertEqual(ask(), (b"first", False))
        self.answer(artifact(b"second"))
        self.assertEqual(ask(), (b"first", True))
        entry, = cache.iterdir()
        self.assertEqual(ask(PFLASH_CACHE=""), (b"second", False))
        self.assertEqual(ask(LIBTPU_INIT_ARGS="--x"), (b"second", False))
        self.assertEqual(ask(), (b"first", True))
        whole = entry.read_bytes()
        for broken in [b"", whole[:-1], whole + b"x", bytes(len(whole)),
                       whole[:80] + b"?" + whole[81:]]:
            entry.write_bytes(broken)
            self.assertEqual(ask(), (b"second", False))
            self.assertEqual(ask(), (b"second", True))
        self.answer(artifact(b"third"))
        self.assertEqual(ask(PFLASH_CACHE="/dev/null/x"), (b"third", False))
        self.assertEqual(self.made(), ["x"])

    def test_listing(self):
        self.answer(artifact(b"x"), 'cat >/dev/null; echo dump >"$4/old"')
        for time in range(2):  # a cache does not get in the way
            self.done("--emit", "listing", "--out", "dir/")
            listing = self.folder / "dir"
            self.assertEqual((listing / "old").read_text(), "dump\n")
            facts = json.loads((listing / "pflash.json").read_text())
            self.assertEqual((facts["emit"], facts["compiler"],
                              facts["from_cache"]),
                             ("listing", "fake 1\nbuilt by hand", False))
        self.answer(artifact(b"x"), 'cat >/dev/null; echo dump >"$4/new"')
        self.done("--emit", "listing", "--out", "dir")
        self.assertEqual(sorted(path.name for path in listing.iterdir()),
                         ["new", "pflash.json"])
        self.answer(refusal(3, "no"), 'cat >/dev/null; echo dump >"$4/newer"')
        self.refused("no", "--emit", "listing", "--out", "dir")
        self.assertEqual(sorted(path.name for path in listing.iterdir()),
                         ["new", "pflash.json"])

    def test_refusal(self):
        self.answer(refusal(12, "Mosaic: this op is unknown"))
        self.refused_all("Mosaic: this op is unknown")
        self.assertFalse((self.tools / "cache").exists())

    def test_death(self):
        """The last words are kept; a file half written is not."""
        self.compiler('cat >/dev/null; [ "$4" ] && echo dump >"$4/dump"; '
                      "echo F1125 Check failed: layout >&2; kill -ABRT $$")
        self.refused_all("died of signal 6; .*Check failed: layout")
        self.compiler("kill -KILL $$")
        self.refused_all("died of signal 9")
        self.compiler("exit 3")
        self.refused_all(r"\(exit code 3\) without an answer")
        self.compiler("cat >/dev/null; echo PFLASH1; head -c 100 /dev/zero")
        self.refused_all(r"\(exit code 0\) without an answer")
        self.answer(artifact(b"cut")[:-1])
        self.refused_all("without an answer")
        self.assertFalse((self.tools / "cache").exists())

    def test_verbose(self):
        """The compiler's talk, in full, where it was asked for."""
        talk = "".join(f"line {i} of talk\n" for i in range(100))
        (self.tools / "talk").write_text(talk)
        for content, code in [(artifact(b"x"), 0), (refusal(3, "no"), 1)]:
            self.answer(content, f"cat >/dev/null; cat '{self.tools}/talk' >&2")
            done = self.compile("--emit", "executable", "--out", "x",
                                "--verbose", PFLASH_CACHE="")
            self.assertEqual(done.returncode, code)
            self.assertTrue(done.stderr.startswith(talk), done.stderr)
            self.assertEqual(done.stderr[len(talk):],
                             "" if not code else "pflash compile: no\n")

    def test_silence(self):
        self.compiler("echo thinking >&2; sleep 60; true")
        self.refused_all("no answer within 0.2 seconds; .*thinking",
                         "--timeout", "0.2")

    def test_missing(self):
        """No plugin, or nothing to load it with."""
        self.answer(artifact(b"x"))
        self.refused_all("PFLASH_LIBTPU is /none: must be",
                         PFLASH_LIBTPU="/none")
        self.refused_all("PFLASH_PJRT_PLUGIN is /none: must be",
                         PFLASH_PJRT_PLUGIN="/none")
        self.refused_all("PFLASH_COMPILER is /none: must be",
                         PFLASH_COMPILER="/none")

    def test_no_plugin(self):
        """With the real pflash-compiler: a file that is no library."""
        self.refused_all("libtpu.so", PFLASH_COMPILER="")

    def test_plugins(self):
        """The real pflash-compiler, and plugins that are too old, too new, die,
        hang or refuse (fake_plugin.h)."""
        plugin = pathlib.Path(cli_case.program).parent / "tests/fake_plugin.so"

        def with_orders(orders):
            return {"PFLASH_COMPILER": "", "PFLASH_LIBTPU": str(plugin),
                    "FAKE_PLUGIN": orders}

        for orders, message in [
                ("minor=12", r"0\.12\b"), ("major=2", r"2\.\d+"),
                ("no_table=1", "no table"), ("table_bytes=40", "40 bytes"),
                ("missing=TopologyDescription_Create",
                 "has no PJRT_TopologyDescription_Create"),
                ("fail_at=1", "PJRT_Plugin_Initialize"),
                ("", "no topology v5e:2x2"),
                ("dies_in=Plugin_Initialize dies_of=6", "died of signal 6"),
                ("dies_in=TopologyDescription_Create dies_of=11",
                 "died of signal 11"),
                ("dies_in=Plugin_Initialize dies_of=-2",
                 r"\(exit code 7\)")]:
            with self.subTest(orders):
                self.refused_all(message, **with_orders(orders))
        self.refused_all("no answer within 0.5 s", "--timeout", "0.5",
                         **with_orders("dies_in=Plugin_Initialize dies_of=-1"))


if __name__ == "__main__":
    cli_case.main()
