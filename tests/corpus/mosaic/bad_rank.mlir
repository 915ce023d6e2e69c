"builtin.module"() ({
  "a.b"() : () -> vector<1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1x1xf32>
})  : () -> ()
