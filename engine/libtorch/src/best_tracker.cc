#include "ckp/libtorch/best_tracker.h"

#include <fmt/format.h>

#include <cmath>

#include "ckp/error.h"

namespace ckp::libtorch {
namespace {

const char* spell(Better better) { return better == Better::lower ? "min" : "max"; }

}  // namespace

BestTracker::BestTracker(BestRule rule) : rule_(std::move(rule)) {
  if (!(rule_.min_delta >= 0)) {
    throw Error(ErrorCode::invalid_argument, fmt::format("best {}: min_delta {} must be 0 or more",
                                                         rule_.metric, rule_.min_delta));
  }
}

bool BestTracker::offer(double value, std::int64_t epoch, std::int64_t step) {
  if (!std::isfinite(value)) return false;
  if (value_) {
    const double gain = rule_.better == Better::lower ? *value_ - value : value - *value_;
    if (!(gain > rule_.min_delta)) return false;
  }
  value_ = value;
  epoch_ = epoch;
  step_ = step;
  return true;
}

void BestTracker::save(PartWriter& out) const {
  out.value("metric", rule_.metric);
  out.value("better", spell(rule_.better));
  out.value("value", value_ ? Value(*value_) : Value());
  out.value("epoch", epoch_);
  out.value("step", step_);
}

void BestTracker::check(PartReader& in) {
  const std::string& metric = in.value("metric").as_string();
  const std::string& better = in.value("better").as_string();
  if (metric != rule_.metric || better != spell(rule_.better)) {
    in.converted(fmt::format("begins anew: {}:{} in the checkpoint, {}:{} here", metric, better,
                             rule_.metric, spell(rule_.better)));
    return;
  }
  const Value& stored = in.value("value");
  std::optional<double> value;
  if (!stored.is_null()) value = stored.as_double();
  in.on_restore(
      [this, value, epoch = in.value("epoch").as_int(), step = in.value("step").as_int()] {
        value_ = value;
        epoch_ = epoch;
        step_ = step;
      });
}

}  // namespace ckp::libtorch
