#include "ckp/libtorch/early_stopping.h"

#include <fmt/format.h>

#include "ckp/error.h"

namespace ckp::libtorch {

EarlyStopping::EarlyStopping(std::int64_t patience) : patience_(patience) {
  if (patience < 0) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("early stopping: patience {} must be 0 or more", patience));
  }
}

void EarlyStopping::save(PartWriter& out) const { out.value("bad_in_a_row", bad_); }

void EarlyStopping::check(PartReader& in) {
  in.on_restore([this, bad = in.value("bad_in_a_row").as_int()] { bad_ = bad; });
}

}  // namespace ckp::libtorch
