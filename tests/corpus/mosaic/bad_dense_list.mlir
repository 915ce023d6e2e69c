"builtin.module"() ({
  "a.b"() {x = dense<[1, 2 : vector<2xi32>} : () -> ()
})  : () -> ()
