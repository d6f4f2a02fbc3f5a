# Compiler settings shared by every target: warnings, build types, sanitizers, ccache and a fast linker where present.
set(GNOMON_SANITIZE "" CACHE STRING "Sanitizers, for example address,undefined or thread")
option(GNOMON_FUZZ "Build the libFuzzer targets (needs clang)" OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_DEV "-O1 -g1" CACHE STRING "" FORCE)
set(CMAKE_C_FLAGS_DEV "-O1 -g1" CACHE STRING "" FORCE)
# Most of all compile time goes into what computes little: the actors, config/ and the tests but for forecasting's.
set(GNOMON_PLAIN_OPTIONS "" CACHE STRING "More compiler options for actors/, config/ and most tests, for example -O0")
# Assertions guard our own invariants and stay on in release: no NDEBUG.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1" CACHE STRING "" FORCE)
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1" CACHE STRING "" FORCE)

if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-subobject-linkage) # the files it joins are included, and not headers
endif()
add_compile_options(-Wall -Wextra -Wpedantic -Wno-missing-field-initializers -fno-omit-frame-pointer)
if(GNOMON_SANITIZE)
  add_compile_definitions(GNOMON_SANITIZED)
  add_compile_options(-fsanitize=${GNOMON_SANITIZE} -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${GNOMON_SANITIZE})
  if(GNOMON_SANITIZE MATCHES "thread")
    add_compile_options(-Wno-tsan)
  endif()
endif()

find_program(GNOMON_CCACHE ccache)
if(GNOMON_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${GNOMON_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${GNOMON_CCACHE}")
  # Precompiled headers need this to be cacheable.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
  set(ENV{CCACHE_SLOPPINESS} "pch_defines,time_macros,include_file_mtime,include_file_ctime")
endif()
find_program(GNOMON_MOLD mold)
if(GNOMON_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# gnomon_library(NAME ROOMS rooms... [LINK libs...]): a folder's static library, from its own sources and those of its
# rooms. ROOMS lists the rooms lowest first: a room includes only rooms that stand before it (cmake/CheckIncludes.cmake).
function(gnomon_library name)
  cmake_parse_arguments(arg "" "" "LINK;ROOMS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  foreach(room IN LISTS arg_ROOMS)
    file(GLOB_RECURSE room_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${room}/*.cpp")
    list(APPEND sources ${room_sources})
  endforeach()
  list(FILTER sources EXCLUDE REGEX "/main_[^/]*\\.cpp$")
  add_library(gnomon_${name} STATIC ${sources})
  add_library(gnomon::${name} ALIAS gnomon_${name})
  target_include_directories(gnomon_${name} PUBLIC "${PROJECT_SOURCE_DIR}")
  target_link_libraries(gnomon_${name} PUBLIC ${arg_LINK} Threads::Threads)
endfunction()

# gnomon_test_suite(FOLDER [COMPUTES] [LINK libs...] [HEADERS headers to precompile...] [SEQUENTIAL suites...]): one
# Boost.Test executable from tests/FOLDER and its rooms, one CTest entry per file (the file's BOOST_AUTO_TEST_SUITE must
# be named like the file). The entry is named FOLDER/ROOM/SUITE; the target check_FOLDER_ROOM builds and runs one room.
# COMPUTES: the tests themselves are arithmetic and need an optimizer. SEQUENTIAL: suites that never have a second
# thread, which the thread sanitizer leaves out.
function(gnomon_test_suite folder)
  cmake_parse_arguments(arg "COMPUTES" "" "LINK;HEADERS;SEQUENTIAL" ${ARGN})
  set(root "${CMAKE_CURRENT_SOURCE_DIR}/${folder}")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${root}/*_test.cpp")
  if(NOT sources)
    return()
  endif()
  add_executable(${folder}_tests ${sources} "${PROJECT_SOURCE_DIR}/tests/boost_test_main.cpp")
  target_link_libraries(${folder}_tests PRIVATE ${arg_LINK} gnomon::${folder} Boost::unit_test_framework)
  target_compile_definitions(${folder}_tests PRIVATE BOOST_TEST_DYN_LINK GNOMON_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  if(NOT arg_COMPUTES)
    target_compile_options(${folder}_tests PRIVATE ${GNOMON_PLAIN_OPTIONS})
  endif()
  # The heavy headers are parsed once; the main file must see its own BOOST_TEST_MODULE first.
  target_precompile_headers(${folder}_tests PRIVATE ${arg_HEADERS} <boost/test/unit_test.hpp>)
  set_source_files_properties("${PROJECT_SOURCE_DIR}/tests/boost_test_main.cpp" PROPERTIES SKIP_PRECOMPILE_HEADERS ON
    SKIP_UNITY_BUILD_INCLUSION ON)
  set(rooms)
  foreach(source IN LISTS sources)
    get_filename_component(suite "${source}" NAME_WE)
    file(RELATIVE_PATH place "${root}" "${source}")
    get_filename_component(room "${place}" DIRECTORY)
    set(name "${folder}/${suite}")
    if(room)
      set(name "${folder}/${room}/${suite}")
      list(APPEND rooms ${room})
    endif()
    set(labels unit ${folder})
    if(GNOMON_SANITIZE MATCHES "address")
      list(APPEND labels asan)
    elseif(GNOMON_SANITIZE MATCHES "thread" AND NOT suite IN_LIST arg_SEQUENTIAL)
      list(APPEND labels tsan)
    endif()
    add_test(NAME ${name} COMMAND ${folder}_tests --run_test=${suite} --report_level=short --color_output=no)
    set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT 600
      ENVIRONMENT "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/lsan.supp;UBSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/ubsan.supp")
  endforeach()
  list(REMOVE_DUPLICATES rooms)
  foreach(room IN LISTS rooms)
    string(REPLACE "/" "_" target "check_${folder}_${room}")
    add_custom_target(${target} COMMAND ${CMAKE_CTEST_COMMAND} --output-on-failure -R "^${folder}/${room}/"
      WORKING_DIRECTORY "${CMAKE_BINARY_DIR}" DEPENDS ${folder}_tests USES_TERMINAL)
  endforeach()
endfunction()
