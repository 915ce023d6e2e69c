"builtin.module"() ({
  "stable_mosaic.func.func"() ({
  ^bb0(%a: memref<8x128xf32, #tpu.memory_space<vmem>>):
  %i = "stable_mosaic.arith.constant"() {value = 0 : index} : () -> index
  %ÿþ = "stable_mosaic.vector.load"(%a, %i, %i) : (memref<8x128xf32, #tpu.memory_space<vmem>>, index, index) -> vector<8x128xf32>
  "stable_mosaic.tpu.vector_store"(%v, %a, %i, %i) {operandSegmentSizes = array<i32: 1, 1, 2, 0>, strides = array<i32>} : (vector<8x128xf32>, memref<8x128xf32, #tpu.memory_space<vmem>>, index, index) -> ()
  "stable_mosaic.func.return"() : () -> ()
  }) {dimension_semantics = [], function_type = (memref<8x128xf32, #tpu.memory_space<vmem>>) -> (), scalar_prefetch = 0 : i64, scratch_operands = 0 : i64, sym_name = "k", tpu.core_type = #tpu.core_type<tc>} : () -> ()
}) {stable_mosaic.version = 3 : i64} : () -> ()
