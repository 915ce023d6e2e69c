# The shared and the static library that others link, from pfl_objects. Neither
# shows more than the declarations that the public headers mark PFL_API.

add_library(pallasflash SHARED $<TARGET_OBJECTS:pfl_objects>)
target_link_libraries(pallasflash PRIVATE pfl_flags Threads::Threads m
  ${CMAKE_DL_LIBS})
if(CMAKE_EXECUTABLE_FORMAT STREQUAL ELF AND NOT PFLASH_SANITIZE)
  target_link_options(pallasflash PRIVATE -Wl,--no-undefined)
endif()
set_target_properties(pallasflash PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})

# Hidden visibility ends at the edge of a shared library, and an archive has no
# such edge: its internals would clash with a program's own names. So the
# objects become one, in which hidden symbols are made local.
if(CMAKE_EXECUTABLE_FORMAT STREQUAL ELF AND CMAKE_LINKER AND CMAKE_OBJCOPY
   AND NOT PFLASH_SANITIZE AND NOT CMAKE_INTERPROCEDURAL_OPTIMIZATION)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/pallasflash.o)
  add_custom_command(OUTPUT ${object}
    COMMAND ${CMAKE_LINKER} -r -o ${object} $<TARGET_OBJECTS:pfl_objects>
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${object}
    DEPENDS pfl_objects $<TARGET_OBJECTS:pfl_objects>
    COMMENT "Joining the static library's objects"
    COMMAND_EXPAND_LISTS VERBATIM)
  set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON)
else()
  set(object $<TARGET_OBJECTS:pfl_objects>)
  message(STATUS "The static library keeps its internal names")
endif()
add_library(pallasflash_static STATIC ${object})
target_link_libraries(pallasflash_static INTERFACE Threads::Threads m
  ${CMAKE_DL_LIBS})
target_compile_definitions(pallasflash_static INTERFACE PFL_STATIC)
set_target_properties(pallasflash_static PROPERTIES
  OUTPUT_NAME pallasflash LINKER_LANGUAGE C)

foreach(library pallasflash pallasflash_static)
  add_library(pallasflash::${library} ALIAS ${library})
  target_include_directories(${library} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
