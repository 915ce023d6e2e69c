"builtin.module"() ({
  %n = "a.b"() : () -> i32
  "a.b"(%n) : (i64) -> ()
})  : () -> ()
