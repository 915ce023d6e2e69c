# The Python package's one library: the public calls, XLA's handlers and the
# programs for TPUs. It lies beside the package's modules, where the wheel has
# it too (component python).
add_library(pflash_python SHARED
  programs/pflash-python/context.c programs/pflash-python/describe.c
  programs/pflash-python/ffi.c
  $<TARGET_OBJECTS:pfl_objects>)
target_link_libraries(pflash_python PRIVATE pfl_flags Threads::Threads m
  ${CMAKE_DL_LIBS})
if(CMAKE_EXECUTABLE_FORMAT STREQUAL ELF AND NOT PFLASH_SANITIZE)
  target_link_options(pflash_python PRIVATE -Wl,--no-undefined)
endif()
install(TARGETS pflash_python LIBRARY DESTINATION pallas_flash
  COMPONENT python EXCLUDE_FROM_ALL)
