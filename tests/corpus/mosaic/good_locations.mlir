"builtin.module"() ({
  "a.b"() : () -> () loc("f.c":7:0)
  "a.b"() : () -> () loc(callsite("a" at "b"))
  "a.b"() : () -> () loc("a\\\"b":7:0)
  "a.b"() : () -> () loc("a\0Ab":7:0)
})  : () -> ()
