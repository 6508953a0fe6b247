// Taking a standalone file into a store.
#pragma once

#include <filesystem>
#include <memory>

#include "ckp/store.h"
#include "store/store_core.h"

namespace ckp {

CheckpointRecord import_file(std::shared_ptr<StoreCore> core, const std::filesystem::path& file,
                             const ImportOptions& options);

}  // namespace ckp
