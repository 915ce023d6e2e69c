# What `cmake --install` puts where: the headers, both libraries, the command,
# its manual page, and what find_package and pkg-config read. The installed
# tree may be moved as a whole.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pallasflash)
set(package_files ${CMAKE_CURRENT_BINARY_DIR}/package)

install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS pallasflash pallasflash_static EXPORT pallasflash)
if(TARGET pflash)
  install(TARGETS pflash pflash-compiler pflash-peer pflash_sim)
endif()
install(DIRECTORY bench/peers bench/data USE_SOURCE_PERMISSIONS
  DESTINATION ${CMAKE_INSTALL_DATADIR}/pallas_flash
  PATTERN __pycache__ EXCLUDE)
if(EXISTS ${PROJECT_SOURCE_DIR}/docs/pflash.1)
  install(FILES docs/pflash.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()

configure_package_config_file(cmake/pallasflash-config.cmake.in
  ${package_files}/pallasflash-config.cmake INSTALL_DESTINATION ${package_dir}
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(
  ${package_files}/pallasflash-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${package_files}/pallasflash-config.cmake
  ${package_files}/pallasflash-config-version.cmake DESTINATION ${package_dir})
install(EXPORT pallasflash NAMESPACE pallasflash::
  FILE pallasflash-targets.cmake DESTINATION ${package_dir})

# pkg-config: the paths start at the place of the file itself.
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX
  BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig OUTPUT_VARIABLE pc_up)
set(pc_prefix "\${pcfiledir}")
cmake_path(APPEND pc_prefix ${pc_up})
foreach(dir LIBDIR INCLUDEDIR)
  set(pc_${dir} "\${prefix}")
  cmake_path(APPEND pc_${dir} ${CMAKE_INSTALL_${dir}})
endforeach()
configure_file(cmake/pallasflash.pc.in ${package_files}/pallasflash.pc @ONLY)
install(FILES ${package_files}/pallasflash.pc DESTINATION ${pc_dir})
