// Which checkpoint a loop is told to take.
#pragma once

#include <optional>
#include <string>

#include "ckp/address.h"
#include "ckp/store.h"

namespace ckp::libtorch {

std::optional<RunRecord> find_run(const Store& store, const std::string& name);

// One of the run's own: "step:20", "cnn@step:20", "@7f3c02d1" or an alias. Nothing for an empty
// text; Error(invalid_argument) when it is another run's.
std::optional<Address> address_in(const Store& store, const RunRecord& run,
                                  const std::string& text);

// Has it a checkpoint that a resume takes by itself?
bool can_resume(const Store& store, const RunRecord& run);

}  // namespace ckp::libtorch
