"builtin.module"() ({
  "a.b"() ({
^a:
^b:
}) : () -> ()
})  : () -> ()
