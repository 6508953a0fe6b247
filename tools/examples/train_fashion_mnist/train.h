// The training of one run, with its checkpoints in a store.
#pragma once

#include "ckp/store.h"
#include "options.h"
#include "output.h"

namespace example {

// Trains until options.epochs are completed. Throws ckp::Error and what LibTorch throws; whatever
// was saved before stays.
void train(Options options, ckp::Store& store, Output& output);

}  // namespace example
