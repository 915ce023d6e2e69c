"builtin.module"() ({
  "a.b"() {x = 0x10000 : f16} : () -> ()
})  : () -> ()
