// Addresses of checkpoints: RUN[@latest|@final|@N|@epoch:N|@step:N|@best[:METRIC[:min|max]]|@ID],
// or @ALIAS.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ckp/records.h"

namespace ckp {

struct Address {
  enum class Kind { latest, final, epoch, step, best, id, alias };
  std::string run;  // name or id prefix; empty for an alias, or for @ID alone
  Kind kind = Kind::latest;
  std::int64_t number = 0;       // epoch or step
  std::string metric;            // best; empty: the run's declared best metric
  std::optional<Better> better;  // best, when written out
  std::string text;              // id prefix (at least 6 hex digits) or alias
};

// Throws Error(invalid_argument) that shows the forms an address can have.
// "@N" of digits only is an epoch; "RUN@ID" is an id when it is six or more hexadecimal digits that
// are not all decimal.
Address parse_address(std::string_view text);

// Picks the checkpoint that `address` means among those of `run`. Works on the current line; an id
// finds superseded ones too. Throws Error(not_found) that lists what there is (epochs, metrics),
// Error(invalid_argument) where a metric has no declared direction ("say @best:val/loss:min or
// :max"). `store`: its path, for the commands that the messages name.
CheckpointRecord resolve(const Address& address, const RunRecord& run,
                         std::span<const CheckpointRecord> checkpoints,
                         std::string_view store = {});

// For an address of kind `best`: the same among these checkpoints of the run's current line only.
CheckpointRecord resolve_best(const Address& address, const RunRecord& run,
                              std::span<const CheckpointRecord> candidates);

}  // namespace ckp
