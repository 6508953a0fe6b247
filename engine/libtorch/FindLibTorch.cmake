# Finds LibTorch and makes the target LibTorch::LibTorch out of libtorch_cpu and libc10.
#
# CKPSTORE_TORCH names a LibTorch of the user's own (the folder "torch" of a pip installation, or an
# unpacked libtorch); empty means the system's. Torch's own CMake package is not used: in a wheel
# built for CUDA it asks for the whole CUDA toolkit, and next to a system LibTorch it mixes the two.
# CUDA needs no link here: it registers itself when the application loads libtorch_cuda.
if(CKPSTORE_TORCH)
  set(_torch_search PATHS "${CKPSTORE_TORCH}" NO_DEFAULT_PATH)
endif()
find_path(LibTorch_INCLUDE_DIR ATen/core/Tensor.h ${_torch_search} PATH_SUFFIXES include)
find_path(LibTorch_API_INCLUDE_DIR torch/torch.h ${_torch_search}
  HINTS "${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
  PATH_SUFFIXES include/torch/csrc/api/include)
find_library(LibTorch_CPU_LIBRARY torch_cpu ${_torch_search} PATH_SUFFIXES lib)
find_library(LibTorch_C10_LIBRARY c10 ${_torch_search} PATH_SUFFIXES lib)

# 2.x keeps the numbers in a header of their own.
foreach(_torch_header "${LibTorch_API_INCLUDE_DIR}/torch/version.h"
    "${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h")
  if(EXISTS "${_torch_header}")
    file(STRINGS "${_torch_header}" _torch_lines
      REGEX "^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
    if(_torch_lines)
      string(REGEX REPLACE "[^0-9]*([0-9]+)[^0-9]*([0-9]+)[^0-9]*([0-9]+).*" "\\1.\\2.\\3"
        LibTorch_VERSION "${_torch_lines}")
    endif()
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
    LibTorch_API_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "Install libtorch-dev, name your own with -DCKPSTORE_TORCH=DIR (for pip: \
.../site-packages/torch), or leave the adapter out with -DCKPSTORE_LIBTORCH=OFF")

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  add_library(LibTorch::c10 SHARED IMPORTED)
  set_target_properties(LibTorch::c10 PROPERTIES IMPORTED_LOCATION "${LibTorch_C10_LIBRARY}")
  add_library(LibTorch::LibTorch SHARED IMPORTED)
  set_target_properties(LibTorch::LibTorch PROPERTIES
    IMPORTED_LOCATION "${LibTorch_CPU_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${LibTorch_INCLUDE_DIR};${LibTorch_API_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES LibTorch::c10)
  if(CKPSTORE_TORCH)
    # A CUDA wheel's libtorch_cpu needs libcudart and libcupti, found at run time through its own
    # rpath.
    set_property(TARGET LibTorch::LibTorch PROPERTY
      INTERFACE_LINK_OPTIONS -Wl,--allow-shlib-undefined -Wl,--disable-new-dtags)
  endif()
endif()
mark_as_advanced(LibTorch_INCLUDE_DIR LibTorch_API_INCLUDE_DIR LibTorch_CPU_LIBRARY
  LibTorch_C10_LIBRARY)
