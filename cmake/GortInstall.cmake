# `cmake --install` gives find_package(gort) and pkg-config gort.
include(CMakePackageConfigHelpers)
set(gort_package ${CMAKE_INSTALL_LIBDIR}/cmake/gort)

install(TARGETS gort_core gort_gort EXPORT gort_targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
set(gort_headers_left_out)
if(NOT TARGET gort_prometheus)
  # They include headers that are not here.
  set(gort_headers_left_out PATTERN "prometheus*.hpp" EXCLUDE)
endif()
install(DIRECTORY include/gort DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING
  PATTERN "*.hpp" ${gort_headers_left_out})
# gdb finds it in programs; this one is for `source`, where it may not look there.
install(FILES tools/gdb/gort.py DESTINATION ${CMAKE_INSTALL_DATADIR}/gort/gdb)
if(TARGET gort)
  install(TARGETS gort OPTIONAL RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(GORT_BACKTRACE_LIBRARY)
  # Carried along: libgort_core.a refers to it, and where a consumer links there may be no gcc.
  install(FILES ${GORT_BACKTRACE_LIBRARY} DESTINATION ${CMAKE_INSTALL_LIBDIR}/gort)
  # Behind it the linker still finds the one in gcc's folder.
  set(gort_pc_backtrace "-L\${libdir}/gort -lbacktrace")
endif()
install(EXPORT gort_targets NAMESPACE gort:: FILE gortTargets.cmake DESTINATION ${gort_package})
configure_package_config_file(cmake/gortConfig.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/gortConfig.cmake
  INSTALL_DESTINATION ${gort_package} PATH_VARS CMAKE_INSTALL_LIBDIR)
# Below 1.0 a minor version may break.
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/gortConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/gortConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/gortConfigVersion.cmake DESTINATION ${gort_package})

# The prefix is found from gort.pc's own place, so that an installed tree may be moved.
file(RELATIVE_PATH gort_pc_up
  /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
set(gort_pc_files gort)
if(TARGET gort_pprof)
  list(APPEND gort_pc_files gort-pprof)
endif()
if(TARGET gort_http)
  list(APPEND gort_pc_files gort-http)
endif()
if(TARGET gort_prometheus)
  list(APPEND gort_pc_files gort-prometheus)
  set(gort_prometheus_requires gort)
  if(TARGET gort_http)
    set(gort_prometheus_requires gort-http)
  endif()
endif()
foreach(name ${gort_pc_files})
  configure_file(cmake/${name}.pc.in ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
