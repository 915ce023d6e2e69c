"builtin.module"() ({
  "stable_mosaic.func.func"() ({
  ^bb0(%arg0: memref<256x128xf32, #tpu.memory_space<vmem>>, %arg1: memref<256x128xf32, #tpu.memory_space<vmem>>, %arg2: memref<256x128xf32, #tpu.memory_space<vmem>>):
    %0 = "stable_mosaic.arith.constant"() {value = 0 : index} : () -> index
    %1 = "stable_mosaic.vector.load"(%arg0, %0, %0) : (memref<256x128xf32, #tpu.memory_space<vmem>>, index, index) -> vector<256x128xf32>
    %2 = "stable_mosaic.vector.load"(%arg1, %0, %0) : (memref<256x128xf32, #tpu.memory_space<vmem>>, index, index) -> vector<256x128xf32>
    %3 = "stable_mosaic.arith.addf"(%1, %2) : (vector<256x128xf32>, vector<256x128xf32>) -> vector<256x128xf32>
    "stable_mosaic.tpu.vector_store"(%3, %arg2, %0, %0) {operandSegmentSizes = array<i32: 1, 1, 2, 0>, strides = array<i32>} : (vector<256x128xf32>, memref<256x128xf32, #tpu.memory_space<vmem>>, index, index) -> ()
    "stable_mosaic.func.return"() : () -> ()
  }) {dimension_semantics = [], function_type = (memref<256x128xf32, #tpu.memory_space<vmem>>, memref<256x128xf32, #tpu.memory_space<vmem>>, memref<256x128xf32, #tpu.memory_space<vmem>>) -> (), scalar_prefetch = 0 : i64, scratch_operands = 0 : i64, sym_name = "vector_add", tpu.core_type = #tpu.core_type<tc>} : () -> ()
}) {stable_mosaic.version = 3 : i64} : () -> ()
