# Tells the benchmark which commit it was built from, and how, for its reports.
# Included by CMakeLists.txt, it has itself run at every build, since a commit
# or an edit changes the answer and nothing that CMake looks at.
if(CMAKE_SCRIPT_MODE_FILE)
  cmake_minimum_required(VERSION 3.25)
  execute_process(
    COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
    RESULT_VARIABLE failure)
  if(failure)
    set(commit "") # no git, or no checkout
  endif()
  # written only when it changes
  file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define PFLASH_COMMIT \"@commit@\"\n" @ONLY)
  return()
endif()

set(commit_header ${PROJECT_BINARY_DIR}/generated/bench/commit.h)
add_custom_target(pfl_commit
  COMMAND ${CMAKE_COMMAND} -D SOURCE=${PROJECT_SOURCE_DIR}
    -D OUTPUT=${commit_header} -P ${CMAKE_CURRENT_LIST_FILE}
  BYPRODUCTS ${commit_header} VERBATIM COMMENT "")
add_dependencies(pfl_internal pfl_commit)
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
string(STRIP "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${build_type}}" c_flags)
set(options "$<JOIN:$<TARGET_PROPERTY:pfl_flags,INTERFACE_COMPILE_OPTIONS>, >")
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/bench/machine.c PROPERTIES
  INCLUDE_DIRECTORIES ${PROJECT_BINARY_DIR}/generated
  OBJECT_DEPENDS ${commit_header}
  COMPILE_DEFINITIONS "PFLASH_HAS_COMMIT;PFLASH_C_FLAGS=\"${c_flags} ${options}\"")
