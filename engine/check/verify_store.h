// Verifying a whole store.
#pragma once

#include "ckp/verify.h"
#include "store/store_core.h"

namespace ckp {

VerifyReport verify_store(StoreCore& core, const VerifyOptions& options);

}  // namespace ckp
