module attributes {stable_mosaic.version = 3 : i64} {
%i = "stable_mosaic.arith.constant"() {value = 0 : index} : () -> index
}
