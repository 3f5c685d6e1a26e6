# Zig's Clang as a cross-compiler: `cmake --toolchain zig.cmake -DZIG=/path/of/zig -DZIG_TARGET=x86_64-linux-gnu.2.17`.
# PyPI has Zig as the package ziglang. It brings headers and libraries of glibc, musl, mingw and macOS, so
# one machine compiles for all of them.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ZIG ZIG_TARGET)

string(REGEX MATCH "^[a-z0-9_]+" CMAKE_SYSTEM_PROCESSOR "${ZIG_TARGET}")
if(ZIG_TARGET MATCHES "-windows-")
  set(CMAKE_SYSTEM_NAME Windows)
elseif(ZIG_TARGET MATCHES "-macos")
  set(CMAKE_SYSTEM_NAME Darwin)
  set(CMAKE_INSTALL_NAME_TOOL true) # no path of a library is changed
else()
  set(CMAKE_SYSTEM_NAME Linux)
endif()

set(CMAKE_C_COMPILER "${ZIG}" cc)
set(CMAKE_C_COMPILER_TARGET "${ZIG_TARGET}")
set(CMAKE_AR "${ZIG}" CACHE FILEPATH "Archiver" FORCE)
set(CMAKE_USER_MAKE_RULES_OVERRIDE "${CMAKE_CURRENT_LIST_DIR}/zig-rules.cmake")
# Zig traps undefined behaviour where nothing is optimised, and keeps frames and debugging information, unless
# it is told not to. Unrolled loops make the library a tenth larger. In the mean they make the kernels of base
# 0.5 % faster, those of AVX2 0.2 % slower, and those of AVX-512 1.5 % slower.
set(CMAKE_C_FLAGS_INIT "-fno-sanitize=undefined -fomit-frame-pointer -fno-unroll-loops -g0")
set(CMAKE_MODULE_LINKER_FLAGS_INIT "-s")
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  string(APPEND CMAKE_MODULE_LINKER_FLAGS_INIT " -Wl,--hash-style=gnu")
elseif(CMAKE_SYSTEM_NAME STREQUAL "Darwin")
  string(APPEND CMAKE_MODULE_LINKER_FLAGS_INIT " -Wl,-x") # the names of static functions, which -s leaves there
endif()
# A wheel for Linux stays below 1 MB (CONTRIBUTING.md, "Build wheels"). -Os and little inlining make Cython's code
# 37 kB smaller in the compressed wheel, and a call of `predict` or `step` takes as long as before.
set(DELTALOOP_SMALL ON)
set(DELTALOOP_MODULE_OPTIONS -Os "SHELL:-mllvm -inline-threshold=20" "SHELL:-mllvm -inlinehint-threshold=70")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
