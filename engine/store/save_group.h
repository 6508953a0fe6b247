// The background's work on one save or more: from registering to the commit.
#pragma once

#include <span>

#include "store/run_impl.h"
#include "store/save_job.h"

namespace ckp {

// S1 to C9 of the jobs, in their order and with one commit; of states that nobody changes
// meanwhile. Fills the reports. A save that fails gets an `error`, and takes no other with it.
void carry_out_saves(Run::Impl& run, std::span<SaveJob> jobs) noexcept;

}  // namespace ckp
