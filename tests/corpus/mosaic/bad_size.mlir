"builtin.module"() ({
  "a.b"() : () -> vector<99999999999999999999xf32>
})  : () -> ()
