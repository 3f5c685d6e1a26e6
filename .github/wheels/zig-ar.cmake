# How Zig archives; read after CMake's own files for each system, which say it for other archivers.
set(CMAKE_C_ARCHIVE_CREATE "<CMAKE_AR> ar qcsD <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_C_ARCHIVE_APPEND "<CMAKE_AR> ar qsD <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_C_ARCHIVE_FINISH "")
