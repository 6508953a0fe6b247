// The trash: retired checkpoints that are kept as a whole for some time (spec/commit.md, "Trash").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ckp/address.h"
#include "ckp/trash.h"
#include "store/run_scan.h"
#include "store/store_core.h"

namespace ckp {

// Until when one is kept that goes to the trash now, in seconds since 1970. A clock that was set
// back since the checkpoint was saved does not shorten its time.
std::int64_t trash_until(std::int64_t now_ns, std::int64_t saved_ns, std::int64_t trash_ns);

// By directory, then commit. Reads names only.
std::vector<ScannedPack> trash_files(FileSystem& fs, const StoreLayout& layout);
// The same with what their manifests say. Needs no lock: one that leaves meanwhile is left out.
std::vector<TrashedCheckpoint> list_trash(StoreCore& core);

// T1, before the first file gets such a name: STORE has the feature `trash`. Under the store's
// lock, as is the next.
void announce_trash(StoreCore& core);
// T4, when files have left the trash durably: if they were the last, STORE loses the feature. A
// failure only keeps older versions out.
void denounce_trash(StoreCore& core) noexcept;

// The one in the trash that an address means, of `run` if it names one. Error(not_found).
CheckpointRecord find_in_trash(StoreCore& core, const Address& address,
                               const std::optional<RunRecord>& run);
// For the end of the message that an address means no live checkpoint: how to have it, if the trash
// has it.
std::string way_out_of_trash(StoreCore& core, const Address& address);

}  // namespace ckp
