# How everything of ours is compiled.
set(CMAKE_CXX_EXTENSIONS OFF)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release or Sanitize" FORCE)
endif()
# Line tables in every build: a stack dump names file and line.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g -DNDEBUG")
set(CMAKE_ASM_FLAGS_RELEASE "-g")
# Under sanitizers: assertions on, and -Og, which they slow down less than they would -O0; -O1 takes
# half as long again to compile. Line tables alone (-g1) name file and line: a quarter faster.
# Their presets compile ten files of a library at once: a third of the time. Release and Debug show
# a file that relies on what it does not include.
set(CMAKE_CXX_FLAGS_SANITIZE "-Og -g1")
set(CMAKE_ASM_FLAGS_SANITIZE "-g")

find_program(GORT_CCACHE ccache)
if(PROJECT_IS_TOP_LEVEL AND GORT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${GORT_CCACHE})
endif()

# For everything in this tree, the tests too: a sanitizer must see all code or none.
add_compile_options(-fno-omit-frame-pointer -fno-semantic-interposition)
if(GORT_SANITIZE)
  # gcc's instrumentation hides from it what has been set, and it says so in its manual.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
  add_compile_options(-fsanitize=${GORT_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${GORT_SANITIZE})
endif()

# A frame larger than a guard would jump over it, into another stack: with probes it touches every
# page on its way down. For users' code too, so it is part of the target's interface. The guard is
# 4 KiB at least; gcc for arm64 would count on 64.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(gort_probe_options
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fstack-clash-protection>
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:--param=stack-clash-protection-guard-size=12>)
  set(gort_pc_probes
    "-fstack-clash-protection --param=stack-clash-protection-guard-size=12")
else()
  set(gort_probe_options $<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang>:-fstack-clash-protection>
    $<$<COMPILE_LANG_AND_ID:C,GNU,Clang>:-fstack-clash-protection>)
  set(gort_pc_probes "-fstack-clash-protection")
endif()

function(gort_compile target)
  target_compile_features(${target} PRIVATE cxx_std_20)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow>
    # By another file's constant; a file that is included by the compiled one looks like a header.
    $<$<BOOL:${CMAKE_UNITY_BUILD}>:-Wno-shadow>
    $<$<AND:$<BOOL:${CMAKE_UNITY_BUILD}>,$<COMPILE_LANG_AND_ID:CXX,GNU>>:-Wno-subobject-linkage>
    $<$<AND:$<BOOL:${GORT_WERROR}>,$<COMPILE_LANGUAGE:CXX>>:-Werror>)
endfunction()
