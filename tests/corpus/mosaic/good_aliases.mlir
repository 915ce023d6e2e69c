#loc1 = loc(unknown)
#m = affine_map<(d0) -> (d0)>
"builtin.module"() ({
  "a.b"() {x = #m} : () -> () loc(#loc1)
})  : () -> ()
