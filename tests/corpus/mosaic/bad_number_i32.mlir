"builtin.module"() ({
  "a.b"() {x = array<i32: 1, 4294967296>} : () -> ()
})  : () -> ()
