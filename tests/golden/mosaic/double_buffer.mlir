"builtin.module"() ({
  "stable_mosaic.func.func"() ({
  ^bb0(%arg0: memref<16x64x128xf32, #tpu.memory_space<any>>, %arg1: memref<16x64x128xf32, #tpu.memory_space<vmem>>, %arg2: memref<2x64x128xf32, #tpu.memory_space<vmem>>, %arg3: memref<2x!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>):
    %0 = "stable_mosaic.arith.constant"() {value = 0 : i32} : () -> i32
    %1 = "stable_mosaic.arith.constant"() {value = 1 : i32} : () -> i32
    %2 = "stable_mosaic.arith.constant"() {value = 16 : i32} : () -> i32
    %3 = "stable_mosaic.arith.constant"() {value = 0 : index} : () -> index
    %4 = "stable_mosaic.arith.constant"() {value = dense<2.000000e+00> : vector<64x128xf32>} : () -> vector<64x128xf32>
    %5 = "stable_mosaic.tpu.memref_slice"(%arg0, %0, %0, %0) {operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<16x64x128xf32, #tpu.memory_space<any>>, i32, i32, i32) -> memref<1x64x128xf32, #tpu.memory_space<any>>
    %6 = "stable_mosaic.tpu.memref_squeeze"(%5) : (memref<1x64x128xf32, #tpu.memory_space<any>>) -> memref<64x128xf32, #tpu.memory_space<any>>
    %7 = "stable_mosaic.tpu.memref_slice"(%arg2, %0, %0, %0) {operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<2x64x128xf32, #tpu.memory_space<vmem>>, i32, i32, i32) -> memref<1x64x128xf32, #tpu.memory_space<vmem>>
    %8 = "stable_mosaic.tpu.memref_squeeze"(%7) : (memref<1x64x128xf32, #tpu.memory_space<vmem>>) -> memref<64x128xf32, #tpu.memory_space<vmem>>
    %9 = "stable_mosaic.tpu.memref_slice"(%arg3, %0) {operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<2x!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>, i32) -> memref<1x!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>
    %10 = "stable_mosaic.tpu.memref_squeeze"(%9) : (memref<1x!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>) -> memref<!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>
    "stable_mosaic.tpu.enqueue_dma"(%6, %8, %10) {operandSegmentSizes = array<i32: 1, 0, 1, 1, 0, 0>} : (memref<64x128xf32, #tpu.memory_space<any>>, memref<64x128xf32, #tpu.memory_space<vmem>>, memref<!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>) -> ()
    "stable_mosaic.scf.for"(%0, %2, %1) ({
    ^bb0(%arg4: i32):
      %11 = "stable_mosaic.arith.addi"(%arg4, %1) : (i32, i32) -> i32
      %12 = "stable_mosaic.arith.andi"(%arg4, %1) : (i32, i32) -> i32
      %13 = "stable_mosaic.arith.andi"(%11, %1) : (i32, i32) -> i32
      %14 = "stable_mosaic.arith.cmpi"(%11, %2) {predicate = 2 : i64} : (i32, i32) -> i1
      "stable_mosaic.scf.if"(%14) ({
        %27 = "stable_mosaic.tpu.memref_slice"(%arg0, %11, %0, %0) {operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<16x64x128xf32, #tpu.memory_space<any>>, i32, i32, i32) -> memref<1x64x128xf32, #tpu.memory_space<any>>
        %28 = "stable_mosaic.tpu.memref_squeeze"(%27) : (memref<1x64x128xf32, #tpu.memory_space<any>>) -> memref<64x128xf32, #tpu.memory_space<any>>
        %29 = "stable_mosaic.tpu.memref_slice"(%arg2, %13, %0, %0) {operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<2x64x128xf32, #tpu.memory_space<vmem>>, i32, i32, i32) -> memref<1x64x128xf32, #tpu.memory_space<vmem>>
        %30 = "stable_mosaic.tpu.memref_squeeze"(%29) : (memref<1x64x128xf32, #tpu.memory_space<vmem>>) -> memref<64x128xf32, #tpu.memory_space<vmem>>
        %31 = "stable_mosaic.tpu.memref_slice"(%arg3, %13) {operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<2x!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>, i32) -> memref<1x!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>
        %32 = "stable_mosaic.tpu.memref_squeeze"(%31) : (memref<1x!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>) -> memref<!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>
        "stable_mosaic.tpu.enqueue_dma"(%28, %30, %32) {operandSegmentSizes = array<i32: 1, 0, 1, 1, 0, 0>} : (memref<64x128xf32, #tpu.memory_space<any>>, memref<64x128xf32, #tpu.memory_space<vmem>>, memref<!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>) -> ()
        "stable_mosaic.scf.yield"() : () -> ()
      }, {
      }) : (i1) -> ()
      %15 = "stable_mosaic.tpu.memref_slice"(%arg0, %arg4, %0, %0) {operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<16x64x128xf32, #tpu.memory_space<any>>, i32, i32, i32) -> memref<1x64x128xf32, #tpu.memory_space<any>>
      %16 = "stable_mosaic.tpu.memref_squeeze"(%15) : (memref<1x64x128xf32, #tpu.memory_space<any>>) -> memref<64x128xf32, #tpu.memory_space<any>>
      %17 = "stable_mosaic.tpu.memref_slice"(%arg2, %12, %0, %0) {operandSegmentSizes = array<i32: 1, 3, 0>} : (memref<2x64x128xf32, #tpu.memory_space<vmem>>, i32, i32, i32) -> memref<1x64x128xf32, #tpu.memory_space<vmem>>
      %18 = "stable_mosaic.tpu.memref_squeeze"(%17) : (memref<1x64x128xf32, #tpu.memory_space<vmem>>) -> memref<64x128xf32, #tpu.memory_space<vmem>>
      %19 = "stable_mosaic.tpu.memref_slice"(%arg3, %12) {operandSegmentSizes = array<i32: 1, 1, 0>} : (memref<2x!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>, i32) -> memref<1x!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>
      %20 = "stable_mosaic.tpu.memref_squeeze"(%19) : (memref<1x!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>) -> memref<!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>
      "stable_mosaic.tpu.wait_dma2"(%20, %16, %18) : (memref<!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>, memref<64x128xf32, #tpu.memory_space<any>>, memref<64x128xf32, #tpu.memory_space<vmem>>) -> ()
      %21 = "stable_mosaic.arith.index_cast"(%12) : (i32) -> index
      %22 = "stable_mosaic.vector.load"(%arg2, %21, %3, %3) : (memref<2x64x128xf32, #tpu.memory_space<vmem>>, index, index, index) -> vector<1x64x128xf32>
      %23 = "stable_mosaic.vector.shape_cast"(%22) : (vector<1x64x128xf32>) -> vector<64x128xf32>
      %24 = "stable_mosaic.arith.mulf"(%23, %4) : (vector<64x128xf32>, vector<64x128xf32>) -> vector<64x128xf32>
      %25 = "stable_mosaic.vector.shape_cast"(%24) : (vector<64x128xf32>) -> vector<1x64x128xf32>
      %26 = "stable_mosaic.arith.index_cast"(%arg4) : (i32) -> index
      "stable_mosaic.tpu.vector_store"(%25, %arg1, %26, %3, %3) {operandSegmentSizes = array<i32: 1, 1, 3, 0>, strides = array<i32>} : (vector<1x64x128xf32>, memref<16x64x128xf32, #tpu.memory_space<vmem>>, index, index, index) -> ()
      "stable_mosaic.scf.yield"() : () -> ()
    }) : (i32, i32, i32) -> ()
    "stable_mosaic.func.return"() : () -> ()
  }) {dimension_semantics = [], function_type = (memref<16x64x128xf32, #tpu.memory_space<any>>, memref<16x64x128xf32, #tpu.memory_space<vmem>>, memref<2x64x128xf32, #tpu.memory_space<vmem>>, memref<2x!tpu.dma_semaphore, #tpu.memory_space<semaphore_mem>>) -> (), scalar_prefetch = 0 : i64, scratch_operands = 2 : i64, sym_name = "double_buffer", tpu.core_type = #tpu.core_type<tc>} : () -> ()
}) {stable_mosaic.version = 3 : i64} : () -> ()
