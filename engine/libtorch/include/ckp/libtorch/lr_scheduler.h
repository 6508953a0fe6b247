// Learning rate schedulers that a resume can bring back. LibTorch has StepLR alone; these follow
// PyTorch's torch.optim.lr_scheduler in names, arguments, arithmetic and state.
//
//   ckp::libtorch::CosineAnnealingLR scheduler(optimizer, 20);
//   state.optimizer("optimizer", optimizer).part("scheduler", scheduler);
//   ...
//   optimizer.step();   // first the optimizer
//   scheduler.step();   // then the scheduler: once an epoch, or once a step if it counts in steps
//
// A scheduler refers to its optimizer, which must outlive it. The constructor takes the groups'
// learning rates as base rates and sets the first rates. The rates themselves are options of the
// optimizer: have both in the training state. A restore takes over the counters and the
// hyper-parameters of the checkpoint, as load_state_dict does. As in PyTorch the next rate is
// computed from the present one where the formula allows it, so that several schedulers can act on
// one optimizer. One thread at a time.
//
// Below, t counts step(), base is a group's base rate, and formulas are those of PyTorch 2.15,
// torch/optim/lr_scheduler.py; tests/libtorch/golden/training_parts.py compares them. Constructors
// throw Error(invalid_argument) for values that PyTorch refuses.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/libtorch/part.h"

namespace torch {
namespace optim {
class Optimizer;
}
}  // namespace torch

namespace ckp::libtorch {

class StateFields;

class LRScheduler : public Part {
 public:
  LRScheduler(const LRScheduler&) = delete;
  LRScheduler& operator=(const LRScheduler&) = delete;

  // Goes on to t + 1 and sets the rates of all groups.
  void step();

  std::int64_t last_epoch() const { return last_epoch_; }            // t: 0 after construction
  const std::vector<double>& base_lrs() const { return base_lrs_; }  // one for each group
  const std::vector<double>& last_lr() const { return last_lr_; }    // as set last

  std::string_view kind() const override { return "scheduler"; }
  void save(PartWriter& out) const override;
  // Error(mismatch) for another kind of scheduler or another number of groups.
  void check(PartReader& in) override;

 protected:
  LRScheduler(torch::optim::Optimizer& optimizer, const char* type);
  // Sets the rates of t = 0: the last act of a constructor.
  void start();
  // One group's rate at t = last_epoch(), from the present one. `restarted`: t was set, not
  // counted up, so the rate must follow from t alone.
  virtual double next_lr(std::size_t group, double lr, bool restarted) = 0;
  // What else belongs to the state: calls the visitor for each member.
  virtual void visit_fields(StateFields& fields) = 0;
  // t is about to be used.
  virtual void on_epoch(bool /*restarted*/) {}
  // Goes to t + 1, or to `t` when that is not negative.
  virtual void advance(std::int64_t t);

  torch::optim::Optimizer& optimizer_;
  std::vector<double> base_lrs_;

 private:
  friend class SequentialLR;
  virtual Value::Map state() const;
  virtual void check_state(const Value& stored, const std::string& where, PartReader& in);
  void visit_all(StateFields& fields);

  std::string type_;
  std::int64_t last_epoch_ = 0;
  std::int64_t step_count_ = 1;
  std::vector<double> last_lr_;
};

// Half a cosine from base to eta_min in T_max steps, and back in the next T_max:
// eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2. SGDR, arXiv:1608.03983, without restarts.
class CosineAnnealingLR : public LRScheduler {
 public:
  CosineAnnealingLR(torch::optim::Optimizer& optimizer, std::int64_t t_max, double eta_min = 0);

 private:
  double next_lr(std::size_t group, double lr, bool restarted) override;
  void visit_fields(StateFields& fields) override;
  std::int64_t t_max_;
  double eta_min_;
};

// The same, but jumping back to base after T_0, then T_0 T_mult, T_0 T_mult^2 ... steps:
// eta_min + (base - eta_min) (1 + cos(pi T_cur / T_i)) / 2. SGDR, arXiv:1608.03983, equation 5.
class CosineAnnealingWarmRestarts : public LRScheduler {
 public:
  CosineAnnealingWarmRestarts(torch::optim::Optimizer& optimizer, std::int64_t t_0,
                              std::int64_t t_mult = 1, double eta_min = 0);

 private:
  double next_lr(std::size_t group, double lr, bool restarted) override;
  void visit_fields(StateFields& fields) override;
  void on_epoch(bool restarted) override;
  std::int64_t t_0_, t_i_, t_mult_;
  std::int64_t t_cur_ = 0;
  double eta_min_;
};

// Times gamma at each milestone; one that stands twice counts twice.
class MultiStepLR : public LRScheduler {
 public:
  MultiStepLR(torch::optim::Optimizer& optimizer, std::vector<std::int64_t> milestones,
              double gamma = 0.1);

 private:
  double next_lr(std::size_t group, double lr, bool restarted) override;
  void visit_fields(StateFields& fields) override;
  std::vector<std::int64_t> milestones_;  // ascending
  double gamma_;
};

// Times gamma at each step: base gamma^t.
class ExponentialLR : public LRScheduler {
 public:
  ExponentialLR(torch::optim::Optimizer& optimizer, double gamma);

 private:
  double next_lr(std::size_t group, double lr, bool restarted) override;
  void visit_fields(StateFields& fields) override;
  double gamma_;
};

// PyTorch's LinearLR: base times a factor that goes from start_factor at t = 0 to end_factor at
// t = total_iters in equal steps, and stays.
class LinearWarmup : public LRScheduler {
 public:
  LinearWarmup(torch::optim::Optimizer& optimizer, std::int64_t total_iters = 5,
               double start_factor = 1.0 / 3, double end_factor = 1);

 private:
  double next_lr(std::size_t group, double lr, bool restarted) override;
  void visit_fields(StateFields& fields) override;
  std::int64_t total_iters_;
  double start_factor_, end_factor_;
};

// From the rate that there is to swa_lr, over anneal_epochs steps, and constant from then on: goes
// with Swa (swa.h). swa_lr a + from (1 - a) with a = (1 - cos(pi t / anneal_epochs)) / 2, or
// t / anneal_epochs; `from` follows from the present rate, so that the first step may come late,
// after another scheduler's last one. arXiv:1803.05407; PyTorch's swa_utils.SWALR. Its swa_lr, one
// for each group, is part of this scheduler's state and not of the optimizer's.
class SWALR : public LRScheduler {
 public:
  SWALR(torch::optim::Optimizer& optimizer, double swa_lr, std::int64_t anneal_epochs = 10,
        const std::string& anneal_strategy = "cos")
      : SWALR(optimizer, std::vector<double>{swa_lr}, anneal_epochs, anneal_strategy) {}
  // One for each group.
  SWALR(torch::optim::Optimizer& optimizer, std::vector<double> swa_lrs,
        std::int64_t anneal_epochs = 10, const std::string& anneal_strategy = "cos");

 private:
  double next_lr(std::size_t group, double lr, bool restarted) override;
  void visit_fields(StateFields& fields) override;
  double annealed(std::int64_t t) const;
  std::vector<double> swa_lrs_;
  std::int64_t anneal_epochs_;
  std::string anneal_strategy_;  // "cos" or "linear"
};

struct OneCycleOptions {
  double pct_start = 0.3;               // the part of the cycle in which the rate rises
  std::string anneal_strategy = "cos";  // or "linear"
  bool cycle_momentum = true;           // against the rate; Adam's first beta
  double base_momentum = 0.85;
  double max_momentum = 0.95;
  double div_factor = 25;         // the first rate is max_lr / div_factor
  double final_div_factor = 1e4;  // the last one that divided by final_div_factor
  bool three_phase = false;       // down as long as up, then the rest: the paper's form
};

// One cycle over all of training: up to max_lr, down to almost nothing; momentum the other way.
// Super-convergence, arXiv:1708.07120. Count it in steps. The rates that the optimizer was made
// with play no part. step() past total_steps throws Error(invalid_argument).
class OneCycleLR : public LRScheduler {
 public:
  OneCycleLR(torch::optim::Optimizer& optimizer, double max_lr, std::int64_t total_steps,
             const OneCycleOptions& options = {});

 private:
  double next_lr(std::size_t group, double lr, bool restarted) override;
  void visit_fields(StateFields& fields) override;
  double anneal(double start, double end, double pct) const;

  OneCycleOptions options_;
  std::int64_t total_steps_;
  double max_lr_;
};

// Makes a scheduler on an optimizer: what SequentialLR is put together from.
using SchedulerMaker =
    std::function<std::unique_ptr<LRScheduler>(torch::optim::Optimizer& optimizer)>;
// then<LinearWarmup>(500) makes LinearWarmup(optimizer, 500).
template <class Scheduler, class... Arguments>
SchedulerMaker then(Arguments... arguments) {
  return [arguments...](torch::optim::Optimizer& optimizer) {
    return std::make_unique<Scheduler>(optimizer, arguments...);
  };
}

// One scheduler after the other, each beginning at its t = 0 when the next milestone is reached:
//   SequentialLR scheduler(optimizer, {then<LinearWarmup>(500), then<CosineAnnealingLR>(9500)},
//                          {500});
// All have the optimizer's rates at construction as base rates.
class SequentialLR : public LRScheduler {
 public:
  SequentialLR(torch::optim::Optimizer& optimizer, const std::vector<SchedulerMaker>& schedulers,
               std::vector<std::int64_t> milestones);

 private:
  double next_lr(std::size_t group, double lr, bool restarted) override;
  void visit_fields(StateFields& fields) override;
  void advance(std::int64_t t) override;
  Value::Map state() const override;
  void check_state(const Value& stored, const std::string& where, PartReader& in) override;
  std::size_t active(std::int64_t t) const;

  std::vector<std::unique_ptr<LRScheduler>> schedulers_;
  std::vector<std::int64_t> milestones_;
};

struct PlateauOptions {
  std::string mode = "min";  // "max": a higher metric is better
  double factor = 0.1;       // below 1
  std::int64_t patience = 10;
  double threshold = 1e-4;             // what counts as better,
  std::string threshold_mode = "rel";  // relative to the best, or "abs"
  std::int64_t cooldown = 0;
  double min_lr = 0;
  double eps = 1e-8;  // smaller changes of the rate are not made
};

// Times factor after more than `patience` steps in a row without a better metric; then as many as
// `cooldown` steps are not counted.
class ReduceLROnPlateau : public Part {
 public:
  explicit ReduceLROnPlateau(torch::optim::Optimizer& optimizer,
                             const PlateauOptions& options = {});

  void step(double metric);

  double best() const { return best_; }  // infinite before the first step
  std::int64_t num_bad_epochs() const { return num_bad_epochs_; }
  const std::vector<double>& last_lr() const { return last_lr_; }

  std::string_view kind() const override { return "scheduler"; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  bool is_better(double metric) const;
  void reduce();
  void visit_fields(StateFields& fields);

  torch::optim::Optimizer& optimizer_;
  PlateauOptions options_;
  double best_ = std::numeric_limits<double>::infinity();
  std::int64_t num_bad_epochs_ = 0;
  std::int64_t cooldown_counter_ = 0;
  std::int64_t last_epoch_ = 0;
  std::vector<double> last_lr_;
};

}  // namespace ckp::libtorch
