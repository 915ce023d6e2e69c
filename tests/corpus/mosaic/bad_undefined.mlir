"builtin.module"() ({
  "a.b"(%n) : (i32) -> ()
})  : () -> ()
