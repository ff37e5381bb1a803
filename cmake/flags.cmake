# Warnings, hardening and sanitizers. One interface target that every target of ours links.
include(CheckCCompilerFlag)
include(CheckLinkerFlag)

add_library(hs_flags INTERFACE)
target_compile_options(hs_flags INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wvla -Wformat=2 -Wconversion -Wstrict-prototypes -Wimplicit-fallthrough -Wundef
  -Wcast-qual -fno-common -fno-strict-aliasing -fno-delete-null-pointer-checks -fstack-protector-strong)
target_compile_options(hs_flags INTERFACE -fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=) # __FILE__ is said in logs
target_compile_definitions(hs_flags INTERFACE _GNU_SOURCE)

foreach(flag -fstack-clash-protection -fcf-protection=full -ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr)
  string(MAKE_C_IDENTIFIER "HS_HAS${flag}" has)
  check_c_compiler_flag(${flag} ${has})
  if(${has})
    target_compile_options(hs_flags INTERFACE ${flag})
  endif()
endforeach()
target_link_options(hs_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--as-needed)

if(HS_SANITIZE)
  target_compile_options(hs_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
    -fno-omit-frame-pointer -O1)
  target_link_options(hs_flags INTERFACE -fsanitize=address,undefined)
else()
  target_compile_options(hs_flags INTERFACE -fno-strict-overflow)
  if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(hs_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
endif()
if(HS_COVERAGE)
  target_compile_options(hs_flags INTERFACE --coverage -O0 -DARENA_MALLOC_EACH=1)
  target_link_options(hs_flags INTERFACE --coverage)
endif()
if(HS_FUZZ)
  target_compile_options(hs_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
