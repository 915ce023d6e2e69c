"builtin.module"() ({
  "stable_mosaic.func.func"() ({
  ^bb0(%a: memref<8x128xf32, #tpu.memory_space<vmem>>):
  %i = "stable_mosaic.arith.constant"() {value = 0 : index} : () -> index
  %v = "stable_mosaic.vector.load"(%a, %i, %i) : (memref<8x128xf32, #tpu.memory_space<vmem>>, index, index) -> vector<8x128xf32>
  "stable_mosaic.tpu.vector_store"(%v, %a, %i, %i) {operandSegmentSizes = array<i32: 1