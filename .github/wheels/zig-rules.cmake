# How Zig archives and links; read after CMake's own files for each system, which say it for other tools.
set(CMAKE_C_ARCHIVE_CREATE "<CMAKE_AR> ar qcsD <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_C_ARCHIVE_APPEND "<CMAKE_AR> ar qsD <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_C_ARCHIVE_FINISH "")
if(CMAKE_SYSTEM_NAME STREQUAL "Darwin")
  set(CMAKE_SHARED_MODULE_CREATE_C_FLAGS "-shared") # Zig makes a program of what has -bundle
endif()
