"builtin.module"() ({
  "stable_mosaic.func.func"() ({
  ^bb0(%a: memref<8x128xf32, #tpu.mem