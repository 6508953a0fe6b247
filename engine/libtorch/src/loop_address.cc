#include "loop_address.h"

#include <fmt/format.h>

#include "ckp/error.h"
#include "ckp/query.h"

namespace ckp::libtorch {
namespace {

[[noreturn]] void not_of_run(const std::string& text, const std::string& what,
                             const std::string& run) {
  throw Error(ErrorCode::invalid_argument,
              fmt::format("resume from {}: that is {}no checkpoint of run {}, and a run goes on "
                          "from its own only; start_from begins a new run with another's weights",
                          text, what, run));
}

}  // namespace

std::optional<RunRecord> find_run(const Store& store, const std::string& name) {
  for (RunRecord& run : store.runs()) {
    if (run.name == name) return std::move(run);
  }
  return std::nullopt;
}

std::optional<Address> address_in(const Store& store, const RunRecord& run,
                                  const std::string& text) {
  if (text.empty()) return std::nullopt;
  Address address =
      parse_address(text.find('@') == std::string::npos ? run.name + "@" + text : text);
  if (address.run.empty()) {  // an alias or an id, which may be anybody's
    const CheckpointRecord found = store.find(address);
    if (found.run != run.id) {
      not_of_run(text, fmt::format("{}@{}, ", found.run_name, found.id.short_hex()), run.name);
    }
    return Address{run.name, Address::Kind::id, 0, "", std::nullopt, found.id.hex()};
  }
  if (address.run != run.name) not_of_run(text, "", run.name);
  return address;
}

bool can_resume(const Store& store, const RunRecord& run) {
  return newest_resumable(current_line(run, store.checkpoints(run.id))).has_value();
}

}  // namespace ckp::libtorch
