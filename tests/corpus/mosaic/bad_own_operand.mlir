"builtin.module"() ({
  %n = "a.b"(%n) : (i32) -> i32
})  : () -> ()
