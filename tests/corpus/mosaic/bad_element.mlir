"builtin.module"() ({
  "a.b"() : () -> vector<8xf33>
})  : () -> ()
