"builtin.module"() ({
  "a.b"() {x = [300 : i8]} : () -> ()
})  : () -> ()
