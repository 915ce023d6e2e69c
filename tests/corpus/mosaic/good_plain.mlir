"builtin.module"() ({
  "func.func"() ({
  ^bb0(%a: memref<8x128xf32, #tpu.memory_space<vmem>>):
  %i = "arith.constant"() {value = 0 : index} : () -> index
  %v = "vector.load"(%a, %i, %i) : (memref<8x128xf32, #tpu.memory_space<vmem>>, index, index) -> vector<8x128xf32>
  "tpu.vector_store"(%v, %a, %i, %i) {operandSegmentSizes = array<i32: 1, 1, 2, 0>, strides = array<i32>} : (vector<8x128xf32>, memref<8x128xf32, #tpu.memory_space<vmem>>, index, index) -> ()
  "func.return"() : () -> ()
  }) {dimension_semantics = [], function_type = (memref<8x128xf32, #tpu.memory_space<vmem>>) -> (), scalar_prefetch = 0 : i64, scratch_operands = 0 : i64, sym_name = "k", tpu.core_type = #tpu.core_type<tc>} : () -> ()
}) : () -> ()
