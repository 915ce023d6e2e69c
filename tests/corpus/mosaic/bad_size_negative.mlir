"builtin.module"() ({
  "a.b"() : () -> vector<-1xf32>
})  : () -> ()
