#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "ckp/error.h"
#include "ckp/libtorch/lr_scheduler.h"
#include "learning_rates.h"
#include "state_fields.h"

namespace ckp::libtorch {

ReduceLROnPlateau::ReduceLROnPlateau(torch::optim::Optimizer& optimizer,
                                     const PlateauOptions& options)
    : optimizer_(optimizer), options_(options), last_lr_(learning_rates(optimizer)) {
  std::string problem;
  if (options.factor >= 1) problem = fmt::format("factor is {}, must be below 1", options.factor);
  if (options.mode != "min" && options.mode != "max") {
    problem = fmt::format("mode is \"{}\", must be \"min\" or \"max\"", options.mode);
  }
  if (options.threshold_mode != "rel" && options.threshold_mode != "abs") {
    problem =
        fmt::format("threshold_mode is \"{}\", must be \"rel\" or \"abs\"", options.threshold_mode);
  }
  if (!problem.empty()) throw Error(ErrorCode::invalid_argument, "ReduceLROnPlateau: " + problem);
  if (options.mode == "max") best_ = -best_;
}

bool ReduceLROnPlateau::is_better(double metric) const {
  const bool relative = options_.threshold_mode == "rel";
  if (options_.mode == "min") {
    return metric < (relative ? best_ * (1.0 - options_.threshold) : best_ - options_.threshold);
  }
  return metric > (relative ? best_ * (options_.threshold + 1.0) : best_ + options_.threshold);
}

void ReduceLROnPlateau::step(double metric) {
  ++last_epoch_;
  if (is_better(metric)) {
    best_ = metric;
    num_bad_epochs_ = 0;
  } else {
    ++num_bad_epochs_;
  }
  if (cooldown_counter_ > 0) {
    --cooldown_counter_;
    num_bad_epochs_ = 0;
  }
  if (num_bad_epochs_ > options_.patience) {
    reduce();
    cooldown_counter_ = options_.cooldown;
    num_bad_epochs_ = 0;
  }
  last_lr_ = learning_rates(optimizer_);
}

void ReduceLROnPlateau::reduce() {
  std::vector<double> rates = learning_rates(optimizer_);
  for (double& rate : rates) {
    const double lower = std::max(rate * options_.factor, options_.min_lr);
    if (rate - lower > options_.eps) rate = lower;
  }
  set_learning_rates(optimizer_, rates);
}

void ReduceLROnPlateau::visit_fields(StateFields& fields) {
  fields("mode", options_.mode);
  fields("factor", options_.factor);
  fields("patience", options_.patience);
  fields("threshold", options_.threshold);
  fields("threshold_mode", options_.threshold_mode);
  fields("cooldown", options_.cooldown);
  fields("default_min_lr", options_.min_lr);
  fields("eps", options_.eps);
  fields("best", best_);
  fields("num_bad_epochs", num_bad_epochs_);
  fields("cooldown_counter", cooldown_counter_);
  fields("last_epoch", last_epoch_);
  fields("_last_lr", last_lr_);
}

void ReduceLROnPlateau::save(PartWriter& out) const {
  Value::Map values{{"type", "ReduceLROnPlateau"}};
  SaveFields fields(values);
  const_cast<ReduceLROnPlateau&>(*this).visit_fields(fields);  // saving reads the members only
  out.value("", std::move(values));
}

void ReduceLROnPlateau::check(PartReader& in) {
  const Value* type = in.find_value("type");
  if (type == nullptr || *type != Value("ReduceLROnPlateau")) {
    const auto* name = type == nullptr ? nullptr : type->get_if<std::string>();
    in.mismatch(fmt::format("{}: a ReduceLROnPlateau here, {} in the checkpoint", in.part(),
                            name == nullptr ? "no scheduler" : *name));
    return;
  }
  RestoreFields fields(in.value(""), in.part(), in);
  visit_fields(fields);
}

}  // namespace ckp::libtorch
