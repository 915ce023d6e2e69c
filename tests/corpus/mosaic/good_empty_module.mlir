"builtin.module"() ({
})  : () -> ()
