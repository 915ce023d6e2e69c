"builtin.module"() ({
  "stable_mosaic.func.func"() ({
  ^bb0(%arg6: i32, %arg7: memref<8xi32, #tpu.memory_space<smem>>, %arg8: memref<64x256xf32, #tpu.memory_space<vmem>>, %arg9: memref<256x256xbf16, #tpu.memory_space<vmem>>, %arg10: memref<64x256xf32, #tpu.memory_space<vmem>>, %arg11: memref<4xi32, #tpu.memory_space<smem>>):
    %5 = "stable_mosaic.arith.constant"() {value = 0 : i32} : () -> i32
    %6 = "stable_mosaic.arith.constant"() {value = 1 : i32} : () -> i32
    %7 = "stable_mosaic.arith.constant"() {value = 0 : index} : () -> index
    %8 = "stable_mosaic.arith.constant"() {value = -1.000000e+30 : f32} : () -> f32
    %9 = "stable_mosaic.arith.constant"() {value = dense<0xFF800000> : vector<64xf32>} : () -> vector<64xf32>
    %10 = "stable_mosaic.arith.constant"() {value = dense<0.000000e+00> : vector<64xf32>} : () -> vector<64xf32>
    %11 = "stable_mosaic.arith.constant"() {value = 3 : i32} : () -> i32
    %12 = "stable_mosaic.arith.constant"() {value = dense<0.000000e+00> : vector<64x256xf32>} : () -> vector<64x256xf32>
    %13 = "stable_mosaic.arith.constant"() {value = 1 : index} : () -> index
    %14 = "stable_mosaic.arith.constant"() {value = 4 : i32} : () -> i32
    %15 = "stable_mosaic.arith.constant"() {value = dense<-65536> : vector<64x256xi32>} : () -> vector<64x256xi32>
    %16 = "stable_mosaic.arith.constant"() {value = 8 : i32} : () -> i32
    %17 = "stable_mosaic.arith.constant"() {value = 8 : index} : () -> index
    %18 = "stable_mosaic.arith.constant"() {value = dense<77> : vector<8x256xi32>} : () -> vector<8x256xi32>
    "stable_mosaic.tpu.trace_start"() {level = 10 : i32, message = "softmax"} : () -> ()
    %19 = "stable_mosaic.vector.load"(%arg8, %7, %7) : (memref<64x256xf32, #tpu.memory_space<vmem>>, index, index) -> vector<64x256xf32>
    %20 = "stable_mosaic.tpu.iota"() {dimension = 0 : i32} : () -> vector<64x256xi32>
    %21 = "stable_mosaic.tpu.iota"() {dimension = 1 : i32} : () -> vector<64x256xi32>
    %22 = "stable_mosaic.arith.cmpi"(%21, %20) {predicate = 3 : i64} : (vector<64x256xi32>, vector<64x256xi32>) -> vector<64x256xi1>
    %23 = "stable_mosaic.vector.broadcast"(%8) : (f32) -> vector<64x256xf32>
    %24 = "stable_mosaic.arith.select"(%22, %19, %23) : (vector<64x256xi1>, vector<64x256xf32>, vector<64x256xf32>) -> vector<64x256xf32>
    %25 = "stable_mosaic.vector.multi_reduction"(%24, %9) {kind = #vector.kind<maximumf>, reduction_dims = array<i64: 1>} : (vector<64x256xf32>, vector<64xf32>) -> vector<64xf32>
    %26 = "stable_mosaic.vector.shape_cast"(%25) : (vector<64xf32>) -> vector<64x1xf32>
    %27 = "stable_mosaic.vector.broadcast"(%26) : (vector<64x1xf32>) -> vector<64x256xf32>
    %28 = "stable_mosaic.arith.subf"(%24, %27) : (vector<64x256xf32>, vector<64x256xf32>) -> vector<64x256xf32>
    %29 = "stable_mosaic.math.exp2"(%28) : (vector<64x256xf32>) -> vector<64x256xf32>
    %30 = "stable_mosaic.vector.multi_reduction"(%29, %10) {kind = #vector.kind<add>, reduction_dims = array<i64: 1>} : (vector<64x256xf32>, vector<64xf32>) -> vector<64xf32>
    %31 = "stable_mosaic.vector.shape_cast"(%30) : (vector<64xf32>) -> vector<64x1xf32>
    %32 = "stable_mosaic.tpu.reciprocal"(%31) {approx = true} : (vector<64x1xf32>) -> vector<64x1xf32>
    %33 = "stable_mosaic.vector.broadcast"(%32) : (vector<64x1xf32>) -> vector<64x256xf32>
    %34 = "stable_mosaic.arith.mulf"(%29, %33) : (vector<64x256xf32>, vector<64x256xf32>) -> vector<64x256xf32>
    "stable_mosaic.tpu.trace_stop"() : () -> ()
    %35:2 = "stable_mosaic.scf.for"(%5, %11, %6, %34, %5) ({
    ^bb0(%arg12: i32, %arg13: vector<64x256xf32>, %arg14: i32):
      %54 = "stable_mosaic.arith.truncf"(%arg13) : (vector<64x256xf32>) -> vector<64x256xbf16>
      %55 = "stable_mosaic.vector.load"(%arg9, %7, %7) : (memref<256x256xbf16, #tpu.memory_space<vmem>>, index, index) -> vector<256x256xbf16>
      %56 = "stable_mosaic.tpu.matmul"(%54, %55, %12) {dimension_numbers = #tpu.dot_dimension_numbers<[1], [0], [0], [1], [0, 0, 1, 1], [], []>, transpose_lhs = false, transpose_rhs = false} : (vector<64x256xbf16>, vector<256x256xbf16>, vector<64x256xf32>) -> vector<64x256xf32>
      %57 = "stable_mosaic.math.tanh"(%56) : (vector<64x256xf32>) -> vector<64x256xf32>
      %58 = "stable_mosaic.arith.addi"(%arg14, %6) : (i32, i32) -> i32
      "stable_mosaic.scf.yield"(%57, %58) : (vector<64x256xf32>, i32) -> ()
    }) : (i32, i32, i32, vector<64x256xf32>, i32) -> (vector<64x256xf32>, i32)
    "stable_mosaic.memref.store"(%35#1, %arg11, %13) : (i32, memref<4xi32, #tpu.memory_space<smem>>, index) -> ()
    %36 = "stable_mosaic.arith.index_cast"(%arg6) : (i32) -> index
    %37 = "stable_mosaic.memref.load"(%arg7, %36) : (memref<8xi32, #tpu.memory_space<smem>>, index) -> i32
    %38 = "stable_mosaic.arith.cmpi"(%37, %14) {predicate = 4 : i64} : (i32, i32) -> i1
    %39 = "stable_mosaic.scf.if"(%38) ({
      %51 = "stable_mosaic.vector.extract_strided_slice"(%35#0) {offsets = [0, 0], sizes = [64, 128], strides = [1, 1]} : (vector<64x256xf32>) -> vector<64x128xf32>
      %52 = "stable_mosaic.vector.extract_strided_slice"(%35#0) {offsets = [0, 128], sizes = [64, 128], strides = [1, 1]} : (vector<64x256xf32>) -> vector<64x128xf32>
      %53 = "stable_mosaic.tpu.concatenate"(%52, %51) {dimension = 1 : i32} : (vector<64x128xf32>, vector<64x128xf32>) -> vector<64x256xf32>
      "stable_mosaic.scf.yield"(%53) : (vector<64x256xf32>) -> ()
    }, {
      %48 = "stable_mosaic.tpu.bitcast"(%35#0) : (vector<64x256xf32>) -> vector<64x256xi32>
      %49 = "stable_mosaic.arith.andi"(%48, %15) : (vector<64x256xi32>, vector<64x256xi32>) -> vector<64x256xi32>
      %50 = "stable_mosaic.tpu.bitcast"(%49) : (vector<64x256xi32>) -> vector<64x256xf32>
      "stable_mosaic.scf.yield"(%50) : (vector<64x256xf32>) -> ()
    }) : (i1) -> vector<64x256xf32>
    %40 = "stable_mosaic.tpu.assume_multiple"(%37) {multiple = 1 : i32} : (i32) -> i32
    %41 = "stable_mosaic.tpu.dynamic_rotate"(%39, %40) {dimension = 1 : si32} : (vector<64x256xf32>, i32) -> vector<64x256xf32>
    %42 = "stable_mosaic.tpu.transpose"(%41) {permutation = array<i64: 1, 0>} : (vector<64x256xf32>) -> vector<256x64xf32>
    %43 = "stable_mosaic.tpu.transpose"(%42) {permutation = array<i64: 1, 0>} : (vector<256x64xf32>) -> vector<64x256xf32>
    %44 = "stable_mosaic.arith.addf"(%41, %43) : (vector<64x256xf32>, vector<64x256xf32>) -> vector<64x256xf32>
    "stable_mosaic.tpu.vector_store"(%44, %arg10, %7, %7) {operandSegmentSizes = array<i32: 1, 1, 2, 0>, strides = array<i32>} : (vector<64x256xf32>, memref<64x256xf32, #tpu.memory_space<vmem>>, index, index) -> ()
    %45 = "stable_mosaic.vector.extract_strided_slice"(%44) {offsets = [0, 0], sizes = [8, 256], strides = [1, 1]} : (vector<64x256xf32>) -> vector<8x256xf32>
    "stable_mosaic.tpu.vector_store"(%45, %arg10, %17, %7) {operandSegmentSizes = array<i32: 1, 1, 2, 0>, strides = array<i32>} : (vector<8x256xf32>, memref<64x256xf32, #tpu.memory_space<vmem>>, index, index) -> ()
    %46 = "stable_mosaic.tpu.iota"() {dimension = 1 : i32} : () -> vector<8x256xi32>
    %47 = "stable_mosaic.arith.cmpi"(%46, %18) {predicate = 2 : i64} : (vector<8x256xi32>, vector<8x256xi32>) -> vector<8x256xi1>
    "stable_mosaic.tpu.vector_store"(%45, %arg10, %7, %7, %47) {operandSegmentSizes = array<i32: 1, 1, 2, 1>, strides = array<i32>} : (vector<8x256xf32>, memref<64x256xf32, #tpu.memory_space<vmem>>, index, index, vector<8x256xi1>) -> ()
    "stable_mosaic.func.return"() : () -> ()
  }) {dimension_semantics = [#tpu.dimension_semantics<arbitrary>], function_type = (i32, memref<8xi32, #tpu.memory_space<smem>>, memref<64x256xf32, #tpu.memory_space<vmem>>, memref<256x256xbf16, #tpu.memory_space<vmem>>, memref<64x256xf32, #tpu.memory_space<vmem>>, memref<4xi32, #tpu.memory_space<smem>>) -> (), iteration_bounds = array<i64: 8>, scalar_prefetch = 1 : i64, scratch_operands = 1 : i64, sym_name = "medley", tpu.core_type = #tpu.core_type<tc>, window_params = [{transform_indices = @transform_0, window_bounds = array<i64: 64, 256>}, {pipeline_mode = #tpu.pipeline_mode<synchronous>, transform_indices = @transform_1, window_bounds = array<i64: 256, 256>}, {transform_indices = @transform_2, window_bounds = array<i64: 64, 256>}]} : () -> ()
  "stable_mosaic.func.func"() ({
  ^bb0(%arg4: i32, %arg5: memref<8xi32, #tpu.memory_space<smem>>):
    %2 = "stable_mosaic.arith.constant"() {value = 0 : i32} : () -> i32
    %3 = "stable_mosaic.arith.index_cast"(%arg4) : (i32) -> index
    %4 = "stable_mosaic.memref.load"(%arg5, %3) : (memref<8xi32, #tpu.memory_space<smem>>, index) -> i32
    "stable_mosaic.func.return"(%4, %2) : (i32, i32) -> ()
  }) {function_type = (i32, memref<8xi32, #tpu.memory_space<smem>>) -> (i32, i32), sym_name = "transform_0"} : () -> ()
  "stable_mosaic.func.func"() ({
  ^bb0(%arg2: i32, %arg3: memref<8xi32, #tpu.memory_space<smem>>):
    %1 = "stable_mosaic.arith.constant"() {value = 0 : i32} : () -> i32
    "stable_mosaic.func.return"(%1, %1) : (i32, i32) -> ()
  }) {function_type = (i32, memref<8xi32, #tpu.memory_space<smem>>) -> (i32, i32), sym_name = "transform_1"} : () -> ()
  "stable_mosaic.func.func"() ({
  ^bb0(%arg0: i32, %arg1: memref<8xi32, #tpu.memory_space<smem>>):
    %0 = "stable_mosaic.arith.constant"() {value = 0 : i32} : () -> i32
    "stable_mosaic.func.return"(%arg0, %0) : (i32, i32) -> ()
  }) {function_type = (i32, memref<8xi32, #tpu.memory_space<smem>>) -> (i32, i32), sym_name = "transform_2"} : () -> ()
}) {stable_mosaic.version = 3 : i64} : () -> ()
