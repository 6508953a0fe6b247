#include "ckp/libtorch/ranks.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "ckp/error.h"

namespace ckp::libtorch {
namespace {

std::int64_t number_in(const char* variable, std::string_view text) {
  std::int64_t number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size()) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}=\"{}\" in the environment is no number", variable, text));
  }
  return number;
}

std::optional<Ranks> ranks_in(const char* rank_variable, const char* size_variable) {
  const char* rank = std::getenv(rank_variable);
  const char* size = std::getenv(size_variable);
  if (rank == nullptr || size == nullptr) return std::nullopt;
  const Ranks ranks{number_in(rank_variable, rank), number_in(size_variable, size)};
  if (ranks.rank < 0 || ranks.rank >= ranks.world_size) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}={} and {}={} in the environment: ranks count from 0 to one less",
                            rank_variable, rank, size_variable, size));
  }
  return ranks;
}

}  // namespace

Ranks ranks_from_environment() {
  if (const auto ranks = ranks_in("RANK", "WORLD_SIZE")) return *ranks;
  if (const auto ranks = ranks_in("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")) return *ranks;
  return {};
}

}  // namespace ckp::libtorch
