#include "ckp/libtorch/lr_scheduler.h"

#include <fmt/format.h>

#include "ckp/error.h"
#include "learning_rates.h"
#include "state_fields.h"

namespace ckp::libtorch {

LRScheduler::LRScheduler(torch::optim::Optimizer& optimizer, const char* type)
    : optimizer_(optimizer), base_lrs_(learning_rates(optimizer)), type_(type) {}

void LRScheduler::start() {
  last_epoch_ = -1;
  step_count_ = 0;
  step();
}

void LRScheduler::step() {
  ++step_count_;
  advance(-1);
}

void LRScheduler::advance(std::int64_t t) {
  const bool restarted = t >= 0;
  last_epoch_ = restarted ? t : last_epoch_ + 1;
  on_epoch(restarted);
  std::vector<double> rates = learning_rates(optimizer_);
  for (std::size_t g = 0; g < rates.size(); ++g) rates[g] = next_lr(g, rates[g], restarted);
  set_learning_rates(optimizer_, rates);
  last_lr_ = std::move(rates);
}

void LRScheduler::visit_all(StateFields& fields) {
  fields("last_epoch", last_epoch_);
  fields("_step_count", step_count_);
  fields("base_lrs", base_lrs_);
  fields("_last_lr", last_lr_);
  visit_fields(fields);
}

Value::Map LRScheduler::state() const {
  Value::Map values{{"type", type_}};
  SaveFields fields(values);
  const_cast<LRScheduler&>(*this).visit_all(fields);  // saving reads the members only
  return values;
}

void LRScheduler::check_state(const Value& stored, const std::string& where, PartReader& in) {
  const Value* type = stored.find("type");
  if (type == nullptr || *type != Value(type_)) {
    const auto* name = type == nullptr ? nullptr : type->get_if<std::string>();
    in.mismatch(fmt::format("{}: a {} here, {} in the checkpoint", where, type_,
                            name == nullptr ? "no scheduler" : *name));
    return;
  }
  for (const char* list : {"base_lrs", "_last_lr", "swa_lr"}) {
    const Value* rates = stored.find(list);
    const auto* found = rates == nullptr ? nullptr : rates->get_if<Value::List>();
    if (found != nullptr && found->size() != base_lrs_.size()) {
      in.mismatch(fmt::format("{}/{}: {} groups here, {} in the checkpoint", where, list,
                              base_lrs_.size(), found->size()));
    }
  }
  RestoreFields fields(stored, where, in);
  visit_all(fields);
}

void LRScheduler::save(PartWriter& out) const { out.value("", state()); }

void LRScheduler::check(PartReader& in) { check_state(in.value(""), in.part(), in); }

}  // namespace ckp::libtorch
