# A layer is an object library: hs_layer(core SOURCES a.c b.c USES PkgConfig::SODIUM). Its objects go into libhs.so and
# libhs.a; includes are written from libhs/ ("base/str.h") or from the root ("workers/http/auth.h").
function(hs_layer name)
  cmake_parse_arguments(L "" "" "SOURCES;USES" ${ARGN})
  add_library(hs_${name} OBJECT ${L_SOURCES})
  target_include_directories(hs_${name} PUBLIC
    ${CMAKE_SOURCE_DIR}/libhs/include ${CMAKE_SOURCE_DIR}/libhs ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
  target_link_libraries(hs_${name} PUBLIC hs_flags ${L_USES})
  if(NOT HS_SANITIZE AND NOT HS_COVERAGE)
    # A fiber has 128 KiB of stack in all.
    target_compile_options(hs_${name} PRIVATE -Wframe-larger-than=12288)
  endif()
  set_property(GLOBAL APPEND PROPERTY HS_LAYERS hs_${name})
endfunction()
