#include "query/first_rows.h"

namespace ckp {
namespace {

// Numbers, text, booleans, then all that has no order of its own; NaN and what is missing last.
int rank_of(const Operand& operand) {
  switch (operand.kind) {
    case Operand::Kind::integer:
    case Operand::Kind::time:
      return 0;
    case Operand::Kind::number:
      return operand.is_nan() ? 4 : 0;
    case Operand::Kind::text:
      return 1;
    case Operand::Kind::truth:
      return 2;
    case Operand::Kind::other:
      return 3;
    case Operand::Kind::missing:
    case Operand::Kind::undecided:
      return 5;
  }
  return 5;
}

constexpr int first_rank_without_direction = 4;

}  // namespace

int compare_keys(const SortKey& a, const SortKey& b, bool descending) {
  const int sign = descending ? -1 : 1;
  const int rank_a = rank_of(a.operand), rank_b = rank_of(b.operand);
  if (rank_a != rank_b) {
    const bool fixed = std::max(rank_a, rank_b) >= first_rank_without_direction;
    return (rank_a < rank_b ? -1 : 1) * (fixed ? 1 : sign);
  }
  if (rank_a == 1) return sign * a.text.compare(b.text);
  const auto ordering = compare(a.operand, b.operand);
  return ordering < 0 ? -sign : ordering > 0 ? sign : 0;
}

}  // namespace ckp
