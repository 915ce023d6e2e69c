"builtin.module"() ({
  %i = "stable_mosaic.arith.constant"() {value = 0 : index} : () -> index
}) {stable_mosaic.version = "3"} : () -> ()
