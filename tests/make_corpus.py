#!/usr/bin/env python3
"""Makes the corpora that the fuzz targets start from: corpus/safetensors,
corpus/json, corpus/stablehlo, corpus/csv and corpus/mosaic beside this file. The
files are kept with the sources; this says how they were made, and python3
make_corpus.py makes the same again.

A name says what is in a file: good_ ones are read, bad_ ones are refused, and
replaying them checks that.
"""
import base64
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent / "corpus"


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors(header, data=b"", size=None):
    """`header`: what to write as JSON, or the very bytes."""
    if not isinstance(header, bytes):
        header = json.dumps(header, separators=(",", ":"),
                            ensure_ascii=False).encode()
    return struct.pack("<Q", len(header) if size is None else size) + header + data


def one(dtype, shape, begin, end, data=b""):
    return safetensors({"q": entry(dtype, shape, begin, end)}, data)


def nested(depth):
    return b"[" * depth + b"]" * depth


F32 = struct.pack("<6f", 1, -2, 3.5, float("inf"), 0, 1e-40)
QKV = {"q": entry("F32", [1, 1, 2, 3], 0, 24),
       "k": entry("BF16", [1, 1, 3, 2], 24, 36),
       "v": entry("F16", [2], 36, 40)}
Q_AND_K = b'{"q":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},' \
          b'"%s":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}'

SAFETENSORS = {
    "good_no_tensors": safetensors({}),
    "good_padded": safetensors(b"{}      "),
    "good_metadata": safetensors({"__metadata__": {"format": "pt", "": "\n"}}),
    "good_one": one("F32", [2, 3], 0, 24, F32),
    "good_three": safetensors(QKV, bytes(range(40))),
    "good_other_order": safetensors(dict(reversed(QKV.items())),
                                    bytes(range(40))),
    "good_decode": safetensors({"lengths": entry("I32", [2], 0, 8),
                                "k": entry("I8", [1, 1, 2, 4], 8, 16),
                                "k_scale": entry("F32", [1, 1, 2], 16, 24)},
                               bytes(24)),
    "good_scalar": one("F32", [], 0, 4, F32[:4]),
    "good_empty_tensors": safetensors({"a": entry("F32", [0], 0, 0),
                                       "b": entry("I8", [3], 0, 3),
                                       "c": entry("F64", [4, 0, 2], 3, 3)},
                                      b"abc"),
    "good_rank_8": one("I8", [1, 1, 2, 1, 1, 2, 1, 1], 0, 4, b"abcd"),
    "good_dtypes": safetensors({"a": entry("F64", [1], 0, 8),
                                "b": entry("BOOL", [1], 8, 9),
                                "c": entry("F8_E4M3", [3], 9, 12),
                                "d": entry("F4", [8], 12, 16),
                                "e": entry("I64", [], 16, 24)}, bytes(24)),
    "good_new_dtype": one("F128", [2], 0, 32, bytes(32)),
    "good_names": safetensors(
        b'{"\\u20ac\\ud83d\\ude00":{"dtype":"I8","shape":[],"data_offsets":'
        b'[0,1]},"":{"dtype":"I8","shape":[],"data_offsets":[1,2]}}', b"ab"),
    "good_spaces": safetensors(
        b'{ "q" : { "dtype" : "I8" ,\n"shape" : [ 2 ] ,\t"data_offsets"'
        b' : [ 0 , 2 ] } }\r\n', b"ab"),
    "bad_empty": b"",
    "bad_seven_bytes": bytes(7),
    "bad_size_only": bytes(8),
    "bad_size_2_63": safetensors({}, size=1 << 63),
    "bad_size_all_ones": safetensors({}, size=(1 << 64) - 1),
    "bad_size_over_limit": safetensors({}, size=100_000_001),
    "bad_size_over_file": safetensors({}, size=3),
    "bad_size_under_header": safetensors({"q": entry("I8", [0], 0, 0)}, size=20),
    "bad_not_json": safetensors(b"{tensors}"),
    "bad_array": safetensors([]),
    "bad_leading_space": safetensors(b" {}"),
    "bad_deep": safetensors(b'{"q":' + nested(100) + b"}"),
    "bad_same_name": safetensors(Q_AND_K % b"q", b"ab"),
    "bad_same_name_escaped": safetensors(Q_AND_K % b"\\u0071", b"ab"),
    "bad_name_nul": safetensors(Q_AND_K % b"k\\u0000", b"ab"),
    "bad_name_not_utf8": safetensors(Q_AND_K % b"\xff", b"ab"),
    "bad_name_surrogate": safetensors(Q_AND_K % b"\\udc00", b"ab"),
    "bad_metadata_number": safetensors({"__metadata__": {"a": 1}}),
    "bad_no_shape": safetensors({"q": {"dtype": "I8", "data_offsets": [0, 0]}}),
    "bad_fourth_key": safetensors({"q": entry("I8", [0], 0, 0) | {"x": 0}}),
    "bad_dtype_number": one(8, [1], 0, 1, b"a"),
    "bad_shape_negative": one("I8", [-1, -1], 0, 1, b"a"),
    "bad_shape_fraction": one("I8", [1.0], 0, 1, b"a"),
    "bad_shape_overflow": one("I8", [1 << 32, 1 << 32], 0, 0),
    "bad_shape_huge": one("I8", [1 << 64], 0, 0),
    "bad_rank_9": one("I8", [1] * 9, 0, 1, b"a"),
    "bad_offsets_reversed": one("I8", [1], 1, 0, b"a"),
    "bad_offsets_negative": one("I8", [1], -1, 0, b"a"),
    "bad_offsets_outside": one("F32", [2, 3], 0, 24, F32[:-1]),
    "bad_bytes": one("F32", [2, 3], 0, 12, F32[:12]),
    "bad_hole": safetensors({"q": entry("I8", [1], 0, 1),
                             "k": entry("I8", [1], 2, 3)}, b"abc"),
    "bad_overlap": safetensors({"q": entry("I8", [2], 0, 2),
                                "k": entry("I8", [2], 1, 3)}, b"abc"),
    "bad_rest": one("I8", [1], 0, 1, b"ab"),
}

JSON = {
    "good_kinds": b'{"a":[null,true,false,-0,1,-2.5e-3,"x",{},[]]}',
    "good_pretty": json.dumps({"rows": [{"op": "forward", "time_us": 12.5}],
                               "device": "cpu"}, indent=2).encode() + b"\n",
    "good_strings": b'["\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u20ac\\ud83d\\ude00"'
                    b',"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"]',
    "good_numbers": b"[9223372036854775807,-9223372036854775808,"
                    b"18446744073709551615,5e-324,1.7976931348623157e308]",
    "good_deep": nested(64),
    "bad_deep": nested(65),
    "bad_comma": b'{"a":1,}',
    "bad_repeated_key": b'{"a":{"b":1},"b":2,"a":3}',
    "bad_surrogate": b'"\\ud83d\\u0041"',
    "bad_number": b"[1,01]",
    "bad_range": b"-1e400",
    "bad_rest": b"{}{}",
    "bad_unfinished": b'{"a":[1,{"b":"c',
}

CSV = {
    "good_plain": b"a,b,c\n1,2,3\n0.5,,x\n",
    "good_other_order": b"c,a,b\nx,1e3,y\n",
    "good_quoted": b'a,"b",c\r\n"1","x, ""y""\nz",""\r\n',
    "good_no_rows": b"b,c,a",
    "good_no_end": b"a,b,c\n1,,",
    "good_utf8": "a,b,c\n3,\u20ac,\U0001f600\n".encode(),
    "bad_empty": b"",
    "bad_missing": b"a,b\n1,2\n",
    "bad_unknown": b"a,b,c,d\n1,2,3,4\n",
    "bad_twice": b"a,b,b,c\n1,2,3,4\n",
    "bad_short_row": b"a,b,c\n1,2\n",
    "bad_long_row": b"a,b,c\n1,2,3,4\n",
    "bad_blank_line": b"a,b,c\n\n1,2,3\n",
    "bad_quote_open": b'a,b,c\n1,"2,3\n4,5,6\n',
    "bad_quote_inside": b'a,b,c\n1,2"2",3\n',
    "bad_quote_after": b'a,b,c\n1,"2"2,3\n',
    "bad_bytes": b"a,b,c\n1,\xff,3\n",
    "bad_nul": b"a,b,c\n1,\0,3\n",
}


def quoted(text):
    """As MLIR writes strings: what is not plain is \\HH."""
    return '"' + "".join(c if " " <= c <= "~" and c not in '"\\'
                         else f"\\{ord(c):02X}" for c in text) + '"'


def layout(rank):
    order = list(range(rank))[::-1]
    inner = "" if not rank else order[0] if rank == 1 else order
    return f"dense<{inner}> : tensor<{rank}xindex>"


def call(number, operands, types, results, outer=None, aliases="", effect=False,
         **config):
    """One kernel call. `types`: of the operands; results: (type, rank)s."""
    known = {"body": base64.b64encode(b"kernel").decode(),
             "needs_layout_passes": True, "serialization_format": 1}
    text = json.dumps({"custom_call_config": known | config} | (outer or {}),
                      separators=(",", ":"))
    many = len(results) > 1
    given = ", ".join(type for type, _ in results)
    return (f"    %{number}{f':{len(results)}' * many} = stablehlo.custom_call "
            f"@tpu_custom_call({', '.join(operands)}) {{backend_config = "
            f"{quoted(text)}, {'has_side_effect = true, ' * effect}"
            f'kernel_name = "k", operand_layouts = '
            f"[{', '.join(layout(rank) for _, rank in types)}], "
            f"output_operand_aliases = [{aliases}], result_layouts = "
            f"[{', '.join(layout(rank) for _, rank in results)}]}} : "
            f"({', '.join(type for type, _ in types)}) -> "
            f"{f'({given})' if many else given}\n")


def module(calls, arguments, outputs, values, replicas=1, name="m"):
    return (f"module @{quoted(name)} attributes {{mhlo.num_partitions = 1 : "
            f"i32, mhlo.num_replicas = {replicas} : i32}} {{\n"
            f"  func.func public @main({', '.join(arguments)}) -> "
            f"({', '.join(outputs)}) {{\n{calls}"
            f"    return {', '.join(values)} : {', '.join(outputs)}\n"
            "  }\n}\n").encode()


def alias(result, operand):
    return (f"#stablehlo.output_operand_alias<output_tuple_indices = "
            f"[{result}], operand_index = {operand}, "
            "operand_tuple_indices = []>")


TILE, LINE, WORD = ("tensor<8x128xf32>", 2), ("tensor<64xbf16>", 1), \
    ("tensor<i32>", 0)
ONE = module(call(0, ["%arg0"], [TILE], [TILE]), ["%arg0: " + TILE[0]],
             [TILE[0]], ["%0"])
CONFIG = call(0, ["%arg0"], [TILE], [TILE], {"scoped_memory_configs": [
                  {"memory_space": 1, "offset": 0, "size": 1 << 20}]},
              disable_bounds_checks=True, has_communication=True,
              collective_id=-3, effect=True,
              cost_estimate=dict(flops=1, transcendentals=2, bytes_accessed=3,
                                 remote_bytes_transferred=4),
              input_memory_space_colors=[{"operand_index": 0, "color": 4}],
              output_memory_space_colors=[{"color": 1}])
TWO = call(0, ["%arg0", "%arg1"], [TILE, LINE], [TILE, LINE, WORD],
           aliases=alias(0, 0) + ", " + alias(1, 1)) \
    + call(1, ["%0#2", "%0#0"], [WORD, TILE], [TILE], aliases=alias("", 1))

STABLEHLO = {
    "good_one": ONE,
    "good_config": module(CONFIG, ["%arg0: " + TILE[0]], [TILE[0]], ["%0"], 4),
    "good_two": module(TWO, [
        "%arg0: " + TILE[0] + " {tf.aliasing_output = 1 : i32}",
        "%arg1: " + LINE[0] + " {tf.aliasing_output = 0 : i32}"],
        [LINE[0], TILE[0], WORD[0]], ["%0#1", "%1", "%0#2"], 2),
    "good_no_call": module("", ["%arg0: " + WORD[0]], [WORD[0]], ["%arg0"],
                           name='"\\\n'),
    "good_spaces": ONE.replace(b" ", b" \n // more\n").replace(
        b"tensor<8x128xf32>", b"tensor < 8x128 x f32 >"),
    "bad_empty": b"",
    "bad_bytecode": b"ML\xefR\x0bStableHLO_v1.0.0\0",
    "bad_other_op": ONE.replace(b"stablehlo.custom_call", b"stablehlo.abs"),
    "bad_later_value": ONE.replace(b"(%arg0)", b"(%0)"),
    "bad_no_result": ONE.replace(b"return %0", b"return"),
    "bad_huge": ONE.replace(b"8x128", b"8589934592x8589934592"),
    "bad_layout": ONE.replace(b"dense<[1, 0]>", b"dense<[0, 1]>"),
    "bad_partitions": ONE.replace(b"partitions = 1", b"partitions = 4"),
    "bad_config_member": ONE.replace(b"\\22body", b"\\22x\\22:1,\\22body"),
    "bad_config_deep": ONE.replace(b"{\\22custom", b"[" * 99 + b"{\\22custom"),
    "bad_base64": ONE.replace(b"a2Vy", b"a2V?"),
}

# ---- Mosaic ----------------------------------------------------------------


def kernel(*ops, after='{stable_mosaic.version = 3 : i64}'):
    """A module of these ops, which stand in no function: reading them is what
    is at stake, and not the rules."""
    body = "".join(f"  {op}\n" for op in ops)
    return f'"builtin.module"() ({{\n{body}}}) {after} : () -> ()\n'.encode()


def with_attribute(text):
    return kernel('"a.b"() {x = ' + text + "} : () -> ()", after="")


def with_type(text):
    return kernel(f'"a.b"() : () -> {text}', after="")


def regions(depth):
    return kernel('"a.b"() ({\n' * depth + "}) : () -> ()\n" * depth, after="")


VMEM = "memref<8x128xf32, #tpu.memory_space<vmem>>"
TILE_TYPE = "vector<8x128xf32>"
INDEX = '%i = "stable_mosaic.arith.constant"() {value = 0 : index} : () -> index'
LOAD = f'%v = "stable_mosaic.vector.load"(%a, %i, %i) : ({VMEM}, index, index)' \
       f" -> {TILE_TYPE}"
STORE = '"stable_mosaic.tpu.vector_store"(%v, %a, %i, %i) {{' \
        "operandSegmentSizes = array<i32: {}>, strides = array<i32>}} : " \
        f"({TILE_TYPE}, {VMEM}, index, index) -> ()"
FUNCTION = '"stable_mosaic.func.func"() ({{\n  ^bb0(%a: ' + VMEM + \
    '):\n  {}\n  "stable_mosaic.func.return"() : () -> ()\n  }}) {{' \
    "dimension_semantics = [], function_type = (" + VMEM + ") -> (), " \
    "scalar_prefetch = 0 : i64, scratch_operands = 0 : i64, sym_name = " \
    '"k", tpu.core_type = #tpu.core_type<tc>}} : () -> ()'
COPY = kernel(FUNCTION.format("\n  ".join(
    [INDEX, LOAD, STORE.format("1, 1, 2, 0")])))
FOR = '%r:2 = "scf.for"(%i, %i, %i, %x, %x) ({ ^bb0(%k: i32, %y: f32, ' \
      '%z: f32): "scf.yield"(%z, %y) : (f32, f32) -> () }) : ' \
      "(i32, i32, i32, f32, f32) -> (f32, f32)"

MOSAIC = {
    "good_copy": COPY,
    "good_plain": COPY.replace(b"stable_mosaic.func", b"func")
                      .replace(b"stable_mosaic.tpu.", b"tpu.")
                      .replace(b"stable_mosaic.vector", b"vector")
                      .replace(b"stable_mosaic.arith", b"arith")
                      .replace(b" {stable_mosaic.version = 3 : i64}", b""),
    "good_empty_module": kernel(after=""),
    "good_module": b"module attributes {stable_mosaic.version = 3 : i64} {\n" +
                   f"{INDEX}\n}}\n".encode(),
    "good_for": kernel('%i = "a.b"() : () -> i32', '%x = "a.b"() : () -> f32',
                       FOR, '"a.b"(%r#1) : (f32) -> ()', after=""),
    "good_aliases": b"#loc1 = loc(unknown)\n#m = affine_map<(d0) -> (d0)>\n" +
                    with_attribute("#m").replace(b"-> ()\n",
                                                 b"-> () loc(#loc1)\n", 1),
    "bad_alias_nul": b"#m = \0\n" + with_attribute("#m"),
    "good_locations": kernel('"a.b"() : () -> () loc("f.c":7:0)',
                             '"a.b"() : () -> () loc(callsite("a" at "b"))',
                             '"a.b"() : () -> () loc("a\\\\\\"b":7:0)',
                             '"a.b"() : () -> () loc("a\\0Ab":7:0)',
                             after=""),
    "good_comments": COPY.replace(b"\n", b" // {(<[\"\n"),
    "good_unknown": with_attribute('#x.y<"}>", 1>'),
    "good_numbers": with_attribute(
        "[-9223372036854775808 : i64, 0x7F800000 : f32, -0.0 : f32, true, "
        "1.0e-45 : f32, 65504.0 : f16, dense<0xFF80> : vector<8x128xbf16>]"),
    "good_strings": with_attribute('"\\22\\0A\\\\\\C3\\A9"'),
    "good_types": with_type(
        "(memref<?x8xbf16, strided<[8, 1], offset: ?>>, !tpu.dma_semaphore, "
        "memref<2x!tpu.semaphore, #tpu.memory_space<semaphore_mem>>, "
        "vector<i1>, tensor<*xf32>, (i32) -> (f32, !a.b<[1]>))")
        .replace(b'"a.b"()', b'%0:6 = "a.b"()'),
    "good_deep": regions(60),
    "bad_empty": b"",
    "bad_alias_cut": b"#",
    "bad_bytecode": b"ML\xefR\x0bMLIR20.0\0",
    "bad_nul": COPY.replace(b"%v", b"%v\0", 1),
    "bad_not_utf8": COPY.replace(b"%v", b"%\xff\xfe", 1),
    "bad_rest": COPY + b"}",
    "bad_two_modules": COPY + COPY,
    "bad_unfinished_string": COPY[:COPY.index(b"func.func") + 4],
    "bad_unfinished_region": COPY[:COPY.index(b'"stable_mosaic.func.return')],
    "bad_unfinished_type": COPY[:COPY.index(b"#tpu.memory_space") + 8],
    "bad_unfinished_attribute": COPY[:COPY.index(b"array<i32: 1") + 12],
    "bad_unfinished_comment": b"// nothing else",
    "bad_deep_regions": regions(1000),
    "bad_deep_types": with_type("(" * 1000),
    "bad_deep_attributes": with_attribute("[{x = " * 1000),
    "bad_deep_unknown": with_attribute("#x<" * 1000),
    "bad_results_huge": kernel('%r:4611686018427387904 = "a.b"() : () -> ()',
                               after=""),
    "bad_results_number": kernel('%r:0 = "a.b"() : () -> ()', after=""),
    "bad_result_of_two": kernel('%r:2 = "a.b"() : () -> (i32, i32)',
                                '"a.b"(%r#2) : (i32) -> ()', after=""),
    "bad_rank": with_type("vector<" + "1x" * 17 + "f32>"),
    "bad_size": with_type("vector<99999999999999999999xf32>"),
    "bad_size_negative": with_type("vector<-1xf32>"),
    "bad_element": with_type("vector<8xf33>"),
    "bad_number_i8": with_attribute("[300 : i8]"),
    "bad_number_i32": with_attribute("array<i32: 1, 4294967296>"),
    "bad_number_f16": with_attribute("0x10000 : f16"),
    "bad_dense_list": with_attribute("dense<[1, 2 : vector<2xi32>"),
    "bad_twice": kernel(INDEX, INDEX),
    "bad_undefined": kernel('"a.b"(%n) : (i32) -> ()', after=""),
    "bad_own_operand": kernel('%n = "a.b"(%n) : (i32) -> i32', after=""),
    "bad_operand_type": kernel('%n = "a.b"() : () -> i32',
                               '"a.b"(%n) : (i64) -> ()', after=""),
    "bad_operand_count": kernel('%n = "a.b"() : () -> i32',
                                '"a.b"(%n) : () -> ()', after=""),
    "bad_out_of_region": kernel(
        '"a.b"() ({ %n = "a.b"() : () -> i32 }) : () -> ()',
        '"a.b"(%n) : (i32) -> ()', after=""),
    "bad_two_blocks": kernel('"a.b"() ({\n^a:\n^b:\n}) : () -> ()', after=""),
    "bad_successor": kernel('"a.b"()[^a] : () -> ()', after=""),
    "bad_no_version": kernel(INDEX, after=""),
    "bad_version_99": kernel(INDEX, after="{stable_mosaic.version = 99 : i64}"),
    "bad_version_text": kernel(INDEX, after='{stable_mosaic.version = "3"}'),
    "good_but_for_the_rules": COPY.replace(b"1, 1, 2, 0", b"1, 1, 2"),
}


def write(folder, files, ending):
    (HERE / folder).mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (HERE / folder / (name + ending)).write_bytes(data)


write("safetensors", SAFETENSORS, ".safetensors")
write("json", JSON, ".json")
write("stablehlo", STABLEHLO, ".mlir")
write("csv", CSV, ".csv")
write("mosaic", MOSAIC, ".mlir")
