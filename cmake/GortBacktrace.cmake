# libbacktrace turns addresses into function, file and line, also inside a crash. It ships inside
# gcc's own folder (Debian: libgcc-12-dev), so gcc is asked where that is, whatever compiles us.
# Without it dumps still name functions, but no files and lines.
function(gort_find_backtrace)
  find_program(GORT_GCC NAMES gcc gcc-14 gcc-13 gcc-12)
  if(NOT GORT_GCC)
    return()
  endif()
  foreach(file libbacktrace.a include/backtrace.h include/backtrace-supported.h)
    execute_process(COMMAND ${GORT_GCC} -print-file-name=${file}
      OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    # gcc answers with the bare name when it has no such file.
    if(NOT IS_ABSOLUTE "${path}" OR NOT EXISTS "${path}")
      return()
    endif()
    list(APPEND found "${path}")
  endforeach()
  set(GORT_BACKTRACE_FILES "${found}" CACHE STRING "libbacktrace.a and its two headers" FORCE)
endfunction()

# Only src/report uses it, privately.
function(gort_link_backtrace target)
  if(NOT GORT_BACKTRACE_FILES)
    gort_find_backtrace()
  endif()
  if(NOT GORT_BACKTRACE_FILES)
    message(STATUS "gort: no libbacktrace; stack dumps will lack files and lines")
    return()
  endif()
  list(POP_FRONT GORT_BACKTRACE_FILES library)
  # Copies of the headers: their folder also holds gcc's intrinsics, which would shadow clang's.
  set(headers ${CMAKE_CURRENT_BINARY_DIR}/backtrace)
  file(COPY ${GORT_BACKTRACE_FILES} DESTINATION ${headers})
  file(GLOB users CONFIGURE_DEPENDS src/report/*.cpp src/report/dwarf/*.cpp)
  if(users)
    set_source_files_properties(${users} PROPERTIES
      COMPILE_DEFINITIONS GORT_HAVE_LIBBACKTRACE=1 INCLUDE_DIRECTORIES ${headers})
  endif()
  # The installed package finds its own copy, see gortConfig.cmake.in.
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:${library}>)
  set(GORT_BACKTRACE_LIBRARY ${library} PARENT_SCOPE)
endfunction()
