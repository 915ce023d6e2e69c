"builtin.module"() ({
  %0:6 = "a.b"() : () -> (memref<?x8xbf16, strided<[8, 1], offset: ?>>, !tpu.dma_semaphore, memref<2x!tpu.semaphore, #tpu.memory_space<semaphore_mem>>, vector<i1>, tensor<*xf32>, (i32) -> (f32, !a.b<[1]>))
})  : () -> ()
