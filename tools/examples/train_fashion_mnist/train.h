// The training of one run, with its checkpoints in a store.
#pragma once

#include "options.h"
#include "output.h"

namespace example {

// Trains until options.epochs are completed, or something stops it earlier; returns the program's
// exit status. Throws ckp::Error and what LibTorch throws; whatever was saved before stays.
int train(Options options, Output& output);

}  // namespace example
