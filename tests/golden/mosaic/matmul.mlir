"builtin.module"() ({
  "stable_mosaic.func.func"() ({
  ^bb0(%arg9: i32, %arg10: i32, %arg11: i32, %arg12: memref<256x512xbf16, #tpu.memory_space<vmem>>, %arg13: memref<256x512xbf16, #tpu.memory_space<vmem>>, %arg14: memref<256x256xbf16, #tpu.memory_space<vmem>>, %arg15: memref<256x256xf32, #tpu.memory_space<vmem>>):
    %0 = "stable_mosaic.arith.constant"() {value = 0 : i32} : () -> i32
    %1 = "stable_mosaic.arith.constant"() {value = dense<0.000000e+00> : vector<256x256xf32>} : () -> vector<256x256xf32>
    %2 = "stable_mosaic.arith.constant"() {value = 0 : index} : () -> index
    %3 = "stable_mosaic.arith.constant"() {value = 1 : i32} : () -> i32
    %4 = "stable_mosaic.arith.cmpi"(%arg11, %0) {predicate = 0 : i64} : (i32, i32) -> i1
    "stable_mosaic.scf.if"(%4) ({
      "stable_mosaic.tpu.vector_store"(%1, %arg15, %2, %2) {operandSegmentSizes = array<i32: 1, 1, 2, 0>, strides = array<i32>} : (vector<256x256xf32>, memref<256x256xf32, #tpu.memory_space<vmem>>, index, index) -> ()
      "stable_mosaic.scf.yield"() : () -> ()
    }, {
    }) : (i1) -> ()
    %5 = "stable_mosaic.vector.load"(%arg12, %2, %2) : (memref<256x512xbf16, #tpu.memory_space<vmem>>, index, index) -> vector<256x512xbf16>
    %6 = "stable_mosaic.vector.load"(%arg13, %2, %2) : (memref<256x512xbf16, #tpu.memory_space<vmem>>, index, index) -> vector<256x512xbf16>
    %7 = "stable_mosaic.vector.load"(%arg15, %2, %2) : (memref<256x256xf32, #tpu.memory_space<vmem>>, index, index) -> vector<256x256xf32>
    %8 = "stable_mosaic.tpu.matmul"(%5, %6, %7) {dimension_numbers = #tpu.dot_dimension_numbers<[1], [1], [0], [0], [0, 0, 1, 0], [], []>, transpose_lhs = false, transpose_rhs = false} : (vector<256x512xbf16>, vector<256x512xbf16>, vector<256x256xf32>) -> vector<256x256xf32>
    "stable_mosaic.tpu.vector_store"(%8, %arg15, %2, %2) {operandSegmentSizes = array<i32: 1, 1, 2, 0>, strides = array<i32>} : (vector<256x256xf32>, memref<256x256xf32, #tpu.memory_space<vmem>>, index, index) -> ()
    %9 = "stable_mosaic.arith.cmpi"(%arg11, %3) {predicate = 0 : i64} : (i32, i32) -> i1
    "stable_mosaic.scf.if"(%9) ({
      %10 = "stable_mosaic.vector.load"(%arg15, %2, %2) : (memref<256x256xf32, #tpu.memory_space<vmem>>, index, index) -> vector<256x256xf32>
      %11 = "stable_mosaic.arith.truncf"(%10) : (vector<256x256xf32>) -> vector<256x256xbf16>
      "stable_mosaic.tpu.vector_store"(%11, %arg14, %2, %2) {operandSegmentSizes = array<i32: 1, 1, 2, 0>, strides = array<i32>} : (vector<256x256xbf16>, memref<256x256xbf16, #tpu.memory_space<vmem>>, index, index) -> ()
      "stable_mosaic.scf.yield"() : () -> ()
    }, {
    }) : (i1) -> ()
    "stable_mosaic.func.return"() : () -> ()
  }) {dimension_semantics = [#tpu.dimension_semantics<parallel>, #tpu.dimension_semantics<parallel>, #tpu.dimension_semantics<arbitrary>], function_type = (i32, i32, i32, memref<256x512xbf16, #tpu.memory_space<vmem>>, memref<256x512xbf16, #tpu.memory_space<vmem>>, memref<256x256xbf16, #tpu.memory_space<vmem>>, memref<256x256xf32, #tpu.memory_space<vmem>>) -> (), iteration_bounds = array<i64: 4, 2, 2>, scalar_prefetch = 0 : i64, scratch_operands = 1 : i64, sym_name = "matmul", tpu.core_type = #tpu.core_type<tc>, window_params = [{transform_indices = @transform_0, window_bounds = array<i64: 256, 512>}, {transform_indices = @transform_1, window_bounds = array<i64: 256, 512>}, {transform_indices = @transform_2, window_bounds = array<i64: 256, 256>}]} : () -> ()
  "stable_mosaic.func.func"() ({
  ^bb0(%arg6: i32, %arg7: i32, %arg8: i32):
    "stable_mosaic.func.return"(%arg6, %arg8) : (i32, i32) -> ()
  }) {function_type = (i32, i32, i32) -> (i32, i32), sym_name = "transform_0"} : () -> ()
  "stable_mosaic.func.func"() ({
  ^bb0(%arg3: i32, %arg4: i32, %arg5: i32):
    "stable_mosaic.func.return"(%arg4, %arg5) : (i32, i32) -> ()
  }) {function_type = (i32, i32, i32) -> (i32, i32), sym_name = "transform_1"} : () -> ()
  "stable_mosaic.func.func"() ({
  ^bb0(%arg0: i32, %arg1: i32, %arg2: i32):
    "stable_mosaic.func.return"(%arg0, %arg1) : (i32, i32) -> ()
  }) {function_type = (i32, i32, i32) -> (i32, i32), sym_name = "transform_2"} : () -> ()
}) {stable_mosaic.version = 3 : i64} : () -> ()
