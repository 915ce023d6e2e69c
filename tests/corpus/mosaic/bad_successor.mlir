"builtin.module"() ({
  "a.b"()[^a] : () -> ()
})  : () -> ()
