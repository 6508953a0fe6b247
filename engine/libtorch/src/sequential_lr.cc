#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"
#include "ckp/libtorch/lr_scheduler.h"
#include "learning_rates.h"
#include "state_fields.h"

namespace ckp::libtorch {

SequentialLR::SequentialLR(torch::optim::Optimizer& optimizer,
                           const std::vector<SchedulerMaker>& schedulers,
                           std::vector<std::int64_t> milestones)
    : LRScheduler(optimizer, "SequentialLR"), milestones_(std::move(milestones)) {
  if (schedulers.empty() || milestones_.size() + 1 != schedulers.size() ||
      !std::is_sorted(milestones_.begin(), milestones_.end())) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("SequentialLR: {} schedulers need one milestone less, in ascending "
                            "order; there are {}",
                            schedulers.size(), milestones_.size()));
  }
  for (const SchedulerMaker& make : schedulers) {
    set_learning_rates(optimizer, base_lrs_);  // each starts from the same rates
    schedulers_.push_back(make(optimizer));
  }
  set_learning_rates(optimizer, base_lrs_);
  schedulers_[active(0)]->start();
  start();
}

std::size_t SequentialLR::active(std::int64_t t) const {
  auto next = std::upper_bound(milestones_.begin(), milestones_.end(), t);
  return static_cast<std::size_t>(next - milestones_.begin());
}

void SequentialLR::advance(std::int64_t t) {
  const std::int64_t now = t >= 0 ? t : last_epoch() + 1;
  const std::size_t i = active(now);
  LRScheduler& scheduler = *schedulers_[i];
  if (t >= 0 || (i > 0 && milestones_[i - 1] == now)) {
    scheduler.advance(0);
  } else if (now > 0) {  // at 0 it has just been started
    scheduler.step();
  }
  LRScheduler::advance(t);  // takes the rates that are set now
}

double SequentialLR::next_lr(std::size_t, double lr, bool) { return lr; }

void SequentialLR::visit_fields(StateFields& fields) { fields("_milestones", milestones_); }

Value::Map SequentialLR::state() const {
  Value::Map values = LRScheduler::state();
  Value::List list;
  for (const auto& scheduler : schedulers_) list.emplace_back(scheduler->state());
  values["_schedulers"] = std::move(list);
  return values;
}

void SequentialLR::check_state(const Value& stored, const std::string& where, PartReader& in) {
  LRScheduler::check_state(stored, where, in);
  const Value* value = stored.find("_schedulers");
  const auto* list = value == nullptr ? nullptr : value->get_if<Value::List>();
  const std::size_t count = list == nullptr ? 0 : list->size();
  if (count != schedulers_.size()) {
    in.mismatch(fmt::format("{}: {} schedulers here, {} in the checkpoint", where,
                            schedulers_.size(), count));
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    schedulers_[i]->check_state((*list)[i], fmt::format("{}/_schedulers/{}", where, i), in);
  }
}

}  // namespace ckp::libtorch
