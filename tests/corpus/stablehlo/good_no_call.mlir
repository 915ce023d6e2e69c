module @"\22\5C\0A" attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<i32>) -> (tensor<i32>) {
    return %arg0 : tensor<i32>
  }
}
