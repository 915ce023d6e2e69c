"builtin.module"() ({
  %i = "a.b"() : () -> i32
  %x = "a.b"() : () -> f32
  %r:2 = "scf.for"(%i, %i, %i, %x, %x) ({ ^bb0(%k: i32, %y: f32, %z: f32): "scf.yield"(%z, %y) : (f32, f32) -> () }) : (i32, i32, i32, f32, f32) -> (f32, f32)
  "a.b"(%r#1) : (f32) -> ()
})  : () -> ()
