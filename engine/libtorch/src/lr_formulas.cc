// The schedulers that are one formula each, term by term as PyTorch computes them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ckp/error.h"
#include "ckp/libtorch/lr_scheduler.h"
#include "state_fields.h"

namespace ckp::libtorch {
namespace {

constexpr double kPi = std::numbers::pi;

double as_double(std::int64_t count) { return static_cast<double>(count); }

void require(bool condition, const std::string& what) {
  if (!condition) throw Error(ErrorCode::invalid_argument, what);
}

}  // namespace

CosineAnnealingLR::CosineAnnealingLR(torch::optim::Optimizer& optimizer, std::int64_t t_max,
                                     double eta_min)
    : LRScheduler(optimizer, "CosineAnnealingLR"), t_max_(t_max), eta_min_(eta_min) {
  require(t_max > 0, fmt::format("CosineAnnealingLR: T_max is {}, must be positive", t_max));
  start();
}

double CosineAnnealingLR::next_lr(std::size_t group, double lr, bool restarted) {
  const double base = base_lrs_[group], t = as_double(last_epoch()), t_max = as_double(t_max_);
  if (restarted) return eta_min_ + (base - eta_min_) * (1 + std::cos(kPi * t / t_max)) / 2;
  if (last_epoch() == 0) return lr;
  if ((last_epoch() - 1 - t_max_) % (2 * t_max_) == 0) {  // at the bottom: no ratio to go on from
    return lr + (base - eta_min_) * (1 - std::cos(kPi / t_max)) / 2;
  }
  return (1 + std::cos(kPi * t / t_max)) / (1 + std::cos(kPi * (t - 1) / t_max)) * (lr - eta_min_) +
         eta_min_;
}

void CosineAnnealingLR::visit_fields(StateFields& fields) {
  fields("T_max", t_max_);
  fields("eta_min", eta_min_);
}

CosineAnnealingWarmRestarts::CosineAnnealingWarmRestarts(torch::optim::Optimizer& optimizer,
                                                         std::int64_t t_0, std::int64_t t_mult,
                                                         double eta_min)
    : LRScheduler(optimizer, "CosineAnnealingWarmRestarts"),
      t_0_(t_0),
      t_i_(t_0),
      t_mult_(t_mult),
      eta_min_(eta_min) {
  require(t_0 > 0 && t_mult > 0,
          fmt::format("CosineAnnealingWarmRestarts: T_0 is {} and T_mult {}, must be positive", t_0,
                      t_mult));
  start();
}

void CosineAnnealingWarmRestarts::on_epoch(bool restarted) {
  if (restarted || last_epoch() == 0) {  // only ever restarted at 0
    t_cur_ = 0;
    t_i_ = t_0_;
    return;
  }
  if (++t_cur_ >= t_i_) {
    t_cur_ -= t_i_;
    t_i_ *= t_mult_;
  }
}

double CosineAnnealingWarmRestarts::next_lr(std::size_t group, double, bool) {
  return eta_min_ + (base_lrs_[group] - eta_min_) *
                        (1 + std::cos(kPi * as_double(t_cur_) / as_double(t_i_))) / 2;
}

void CosineAnnealingWarmRestarts::visit_fields(StateFields& fields) {
  fields("T_0", t_0_);
  fields("T_i", t_i_);
  fields("T_mult", t_mult_);
  fields("T_cur", t_cur_);
  fields("eta_min", eta_min_);
}

MultiStepLR::MultiStepLR(torch::optim::Optimizer& optimizer, std::vector<std::int64_t> milestones,
                         double gamma)
    : LRScheduler(optimizer, "MultiStepLR"), milestones_(std::move(milestones)), gamma_(gamma) {
  std::sort(milestones_.begin(), milestones_.end());
  start();
}

double MultiStepLR::next_lr(std::size_t group, double lr, bool restarted) {
  auto [first, last] = std::equal_range(milestones_.begin(), milestones_.end(), last_epoch());
  if (restarted) return base_lrs_[group] * std::pow(gamma_, as_double(last - milestones_.begin()));
  return first == last ? lr : lr * std::pow(gamma_, as_double(last - first));
}

void MultiStepLR::visit_fields(StateFields& fields) {
  fields("milestones", milestones_);
  fields("gamma", gamma_);
}

ExponentialLR::ExponentialLR(torch::optim::Optimizer& optimizer, double gamma)
    : LRScheduler(optimizer, "ExponentialLR"), gamma_(gamma) {
  start();
}

double ExponentialLR::next_lr(std::size_t group, double lr, bool restarted) {
  if (restarted) return base_lrs_[group] * std::pow(gamma_, as_double(last_epoch()));
  return last_epoch() == 0 ? lr : lr * gamma_;
}

void ExponentialLR::visit_fields(StateFields& fields) { fields("gamma", gamma_); }

LinearWarmup::LinearWarmup(torch::optim::Optimizer& optimizer, std::int64_t total_iters,
                           double start_factor, double end_factor)
    : LRScheduler(optimizer, "LinearLR"),
      total_iters_(total_iters),
      start_factor_(start_factor),
      end_factor_(end_factor) {
  require(total_iters > 0,
          fmt::format("LinearWarmup: total_iters is {}, must be positive", total_iters));
  require(start_factor > 0 && start_factor <= 1 && end_factor >= 0 && end_factor <= 1,
          fmt::format("LinearWarmup: factors from {} to {} must lie between 0 and 1, the first "
                      "above 0",
                      start_factor, end_factor));
  start();
}

double LinearWarmup::next_lr(std::size_t group, double lr, bool restarted) {
  const double rise = end_factor_ - start_factor_;
  const double t = as_double(last_epoch()), total = as_double(total_iters_);
  if (restarted) return base_lrs_[group] * (start_factor_ + rise * std::min(total, t) / total);
  if (last_epoch() == 0) return lr * start_factor_;
  if (last_epoch() > total_iters_) return lr;
  return lr * (1.0 + rise / (total * start_factor_ + (t - 1) * rise));
}

void LinearWarmup::visit_fields(StateFields& fields) {
  fields("start_factor", start_factor_);
  fields("end_factor", end_factor_);
  fields("total_iters", total_iters_);
}

SWALR::SWALR(torch::optim::Optimizer& optimizer, std::vector<double> swa_lrs,
             std::int64_t anneal_epochs, const std::string& anneal_strategy)
    : LRScheduler(optimizer, "SWALR"),
      swa_lrs_(std::move(swa_lrs)),
      anneal_epochs_(anneal_epochs),
      anneal_strategy_(anneal_strategy) {
  if (swa_lrs_.size() == 1) swa_lrs_.assign(base_lrs_.size(), swa_lrs_.front());
  require(swa_lrs_.size() == base_lrs_.size(),
          fmt::format("SWALR: {} rates for {} groups", swa_lrs_.size(), base_lrs_.size()));
  require(anneal_strategy == "cos" || anneal_strategy == "linear",
          fmt::format("SWALR: anneal_strategy is \"{}\", must be \"cos\" or \"linear\"",
                      anneal_strategy));
  require(anneal_epochs >= 0,
          fmt::format("SWALR: anneal_epochs is {}, must not be negative", anneal_epochs));
  start();
}

double SWALR::annealed(std::int64_t t) const {
  const double part =
      std::clamp(as_double(t) / as_double(std::max<std::int64_t>(1, anneal_epochs_)), 0.0, 1.0);
  return anneal_strategy_ == "linear" ? part : (1 - std::cos(kPi * part)) / 2;
}

double SWALR::next_lr(std::size_t group, double lr, bool) {
  // Without epochs to anneal in, the first rate is the last.
  const std::int64_t t =
      anneal_epochs_ == 0 ? std::max<std::int64_t>(1, last_epoch()) : last_epoch();
  const double swa_lr = swa_lrs_[group], before = annealed(t - 1), now = annealed(t);
  const double from = before == 1 ? swa_lr : (lr - before * swa_lr) / (1 - before);
  return swa_lr * now + from * (1 - now);
}

void SWALR::visit_fields(StateFields& fields) {
  fields("swa_lr", swa_lrs_);
  fields("anneal_epochs", anneal_epochs_);
  fields("_anneal_strategy", anneal_strategy_);
}

}  // namespace ckp::libtorch
