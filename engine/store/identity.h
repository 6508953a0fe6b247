// Who a store is: its file STORE, and the lock file as a witness.
#pragma once

#include <optional>
#include <string>

#include "ckp/file_system.h"
#include "ckp/format/store_identity.h"
#include "store/layout.h"

namespace ckp {

// The file STORE, of which a longer one is damaged, too. Error(not_found), Error(corrupt).
format::StoreIdentity read_whole_identity(FileSystem& fs, const StoreLayout& layout);

// The same of its 128 bytes, whatever stands behind them. Errors name the file.
format::StoreIdentity identity_now(FileSystem& fs, const StoreLayout& layout);

// M3: STORE says so, durably. Written only when it does not yet. Under the store's lock.
void write_features(FileSystem& fs, const StoreLayout& layout, format::StoreIdentity identity,
                    const format::Features& features);

// The store's uuid as the lock file has it. Nothing when it has no state block.
std::optional<Uuid> remembered_uuid(FileSystem& fs, const StoreLayout& layout);

// That uuid, when the file STORE says another and is not to be believed: the state block is of the
// index that lies here, so that it is STORE that came from elsewhere.
std::optional<Uuid> rightful_uuid(FileSystem& fs, const StoreLayout& layout, const Uuid& claimed);

// What is wrong then, without what to do.
std::string foreign_identity(const StoreLayout& layout, const Uuid& claimed, const Uuid& rightful);

}  // namespace ckp
