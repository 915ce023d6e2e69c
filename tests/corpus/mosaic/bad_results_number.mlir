"builtin.module"() ({
  %r:0 = "a.b"() : () -> ()
})  : () -> ()
