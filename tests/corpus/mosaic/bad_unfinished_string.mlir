"builtin.module"() ({
  "stable_mosaic.func