// What a RestoreSelection says about a name.
#pragma once

#include <string>
#include <string_view>

#include "ckp/libtorch/restore_selection.h"

namespace ckp::libtorch {

// Whether "part/name" is to be restored.
bool takes(const RestoreSelection& selection, std::string_view name);
// A parameter's name in the checkpoint, from its name here; and the other way.
std::string stored_name(const RestoreSelection& selection, std::string_view here);
std::string name_here(const RestoreSelection& selection, std::string_view stored);

}  // namespace ckp::libtorch
