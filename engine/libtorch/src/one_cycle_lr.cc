#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "ckp/error.h"
#include "ckp/libtorch/lr_scheduler.h"
#include "learning_rates.h"
#include "state_fields.h"

namespace ckp::libtorch {
namespace {

void check_options(const torch::optim::Optimizer& optimizer, std::int64_t total_steps,
                   const OneCycleOptions& options) {
  std::string problem;
  if (total_steps < 1) {
    problem = fmt::format("total_steps is {}, must be positive", total_steps);
  } else if (options.pct_start < 0 || options.pct_start > 1) {
    problem = fmt::format("pct_start is {}, must lie between 0 and 1", options.pct_start);
  } else if (options.anneal_strategy != "cos" && options.anneal_strategy != "linear") {
    problem = fmt::format("anneal_strategy is \"{}\", must be \"cos\" or \"linear\"",
                          options.anneal_strategy);
  } else if (options.cycle_momentum && !has_momentum(optimizer)) {
    problem = "the optimizer has neither momentum nor betas to cycle; say cycle_momentum = false";
  }
  if (!problem.empty()) throw Error(ErrorCode::invalid_argument, "OneCycleLR: " + problem);
}

}  // namespace

OneCycleLR::OneCycleLR(torch::optim::Optimizer& optimizer, double max_lr, std::int64_t total_steps,
                       const OneCycleOptions& options)
    : LRScheduler(optimizer, "OneCycleLR"),
      options_(options),
      total_steps_(total_steps),
      max_lr_(max_lr) {
  check_options(optimizer, total_steps, options);
  for (double& base : base_lrs_) base = max_lr / options.div_factor;
  start();
}

double OneCycleLR::anneal(double start, double end, double pct) const {
  if (options_.anneal_strategy == "linear") return (end - start) * pct + start;
  return end + (start - end) / 2.0 * (std::cos(std::numbers::pi * pct) + 1);
}

double OneCycleLR::next_lr(std::size_t group, double, bool) {
  if (last_epoch() > total_steps_) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("OneCycleLR: step {} of {}; make the scheduler for as many steps as "
                            "training takes",
                            last_epoch(), total_steps_));
  }
  struct Phase {
    double end, from_lr, to_lr, from_momentum, to_momentum;
  };
  const double total = static_cast<double>(total_steps_), step = static_cast<double>(last_epoch());
  const double first = base_lrs_[group], least = first / options_.final_div_factor;
  const double low = options_.base_momentum, high = options_.max_momentum;
  const Phase up{options_.pct_start * total - 1, first, max_lr_, high, low};
  const Phase down{2 * options_.pct_start * total - 2, max_lr_, first, low, high};
  const Phase out = options_.three_phase ? Phase{total - 1, first, least, high, high}
                                         : Phase{total - 1, max_lr_, least, low, high};
  const std::vector<Phase> phases =
      options_.three_phase ? std::vector<Phase>{up, down, out} : std::vector<Phase>{up, out};

  std::size_t i = 0;
  double begin = 0;
  for (; i + 1 < phases.size() && step > phases[i].end; ++i) begin = phases[i].end;
  const Phase& phase = phases[i];
  const double pct = phase.end > begin ? (step - begin) / (phase.end - begin) : 1;
  if (options_.cycle_momentum) {
    set_momentum(optimizer_, group, anneal(phase.from_momentum, phase.to_momentum, pct));
  }
  return anneal(phase.from_lr, phase.to_lr, pct);
}

void OneCycleLR::visit_fields(StateFields& fields) {
  fields("total_steps", total_steps_);
  fields("max_lr", max_lr_);
  fields("pct_start", options_.pct_start);
  fields("_anneal_func_type", options_.anneal_strategy);
  fields("cycle_momentum", options_.cycle_momentum);
  fields("base_momentum", options_.base_momentum);
  fields("max_momentum", options_.max_momentum);
  fields("final_div_factor", options_.final_div_factor);
  fields("three_phase", options_.three_phase);
}

}  // namespace ckp::libtorch
