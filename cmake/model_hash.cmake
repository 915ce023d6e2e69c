# Tells the benchmark what the cycle model is made of: the SHA-256 of its sources.
# Predictions that were kept hold only for the model that made them. Included by
# CMakeLists.txt, it has itself run when one of them changes.
if(CMAKE_SCRIPT_MODE_FILE)
  cmake_minimum_required(VERSION 3.25)
  set(hashes "")
  foreach(source ${SOURCES})
    file(SHA256 ${source} hash)
    string(APPEND hashes ${hash})
  endforeach()
  string(SHA256 hash "${hashes}")
  file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define PFLASH_MODEL_HASH \"@hash@\"\n" @ONLY)
  return()
endif()

file(GLOB model_sources CONFIGURE_DEPENDS src/schedule/*.[ch])
list(APPEND model_sources ${PROJECT_SOURCE_DIR}/src/bench/predict.c)
set(model_header ${PROJECT_BINARY_DIR}/generated/bench/model_hash.h)
add_custom_command(OUTPUT ${model_header}
  COMMAND ${CMAKE_COMMAND} -D "SOURCES=${model_sources}"
    -D OUTPUT=${model_header} -P ${CMAKE_CURRENT_LIST_FILE}
  DEPENDS ${model_sources} VERBATIM COMMENT "")
target_sources(pfl_internal PRIVATE ${model_header})
set_source_files_properties(src/bench/prediction_cache.c PROPERTIES
  INCLUDE_DIRECTORIES ${PROJECT_BINARY_DIR}/generated
  OBJECT_DEPENDS ${model_header})
