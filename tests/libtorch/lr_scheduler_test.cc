// Schedulers across a resume: left out, the rates of the continuation differ; kept, they are the
// same bits.
#include "ckp/libtorch/lr_scheduler.h"

#include <cmath>
#include <numbers>
#include <sstream>

#include "small_net.h"

namespace ckp::test {
namespace {

namespace optim = torch::optim;
using namespace libtorch;

// A scheduler of any kind, with the two things that a loop does with it.
struct Made {
  std::unique_ptr<Part> part;
  std::function<void(int)> step;
};

template <class Scheduler, class... Arguments>
Made make(Arguments&&... arguments) {
  auto scheduler = std::make_unique<Scheduler>(arguments...);
  auto step = [pointer = scheduler.get()](int t) {
    if constexpr (std::is_same_v<Scheduler, ReduceLROnPlateau>) {
      pointer->step(t % 7 == 0 ? 1.0 / (t + 1) : 2.0);
    } else {
      pointer->step();
    }
  };
  return {std::move(scheduler), step};
}

struct Case {
  const char* name;
  // `other`: made with other hyper-parameters, which the restore replaces.
  std::function<Made(optim::Optimizer&, bool other)> make;
  // The next rate follows from the present one alone, so that nothing is lost without the state.
  bool rate_is_enough = false;
};

PlateauOptions plateau(std::int64_t patience) {
  PlateauOptions options;
  options.patience = patience;
  options.cooldown = 2;
  return options;
}

OneCycleOptions no_momentum(double pct_start) {
  OneCycleOptions options;
  options.cycle_momentum = false;
  options.pct_start = pct_start;
  return options;
}

const Case kCases[] = {
    {"CosineAnnealing",
     [](auto& o, bool other) { return make<CosineAnnealingLR>(o, other ? 40 : 25, 1e-4); }},
    {"WarmRestarts",
     [](auto& o, bool other) { return make<CosineAnnealingWarmRestarts>(o, other ? 9 : 4, 2); }},
    {"MultiStep",
     [](auto& o, bool other) {
       return make<MultiStepLR>(o, std::vector<std::int64_t>{3, other ? 9 : 15}, 0.5);
     }},
    {"Exponential", [](auto& o, bool other) { return make<ExponentialLR>(o, other ? 0.8 : 0.9); },
     /*rate_is_enough=*/true},
    {"OneCycle",
     [](auto& o, bool other) {
       return make<OneCycleLR>(o, other ? 0.5 : 0.4, 60, no_momentum(other ? 0.5 : 0.25));
     }},
    {"LinearWarmup",
     [](auto& o, bool other) { return make<LinearWarmup>(o, other ? 40 : 30, 0.1); }},
    {"Sequential",
     [](auto& o, bool other) {
       return make<SequentialLR>(
           o,
           std::vector<SchedulerMaker>{then<LinearWarmup>(6, 0.1),
                                       then<CosineAnnealingLR>(other ? 40 : 20)},
           std::vector<std::int64_t>{6});
     }},
    {"SWALR", [](auto& o, bool other) { return make<SWALR>(o, other ? 0.02 : 0.05, 30); }},
    {"Plateau",
     [](auto& o, bool other) { return make<ReduceLROnPlateau>(o, plateau(other ? 9 : 3)); }},
};

class EveryScheduler : public ::testing::TestWithParam<Case> {
 protected:
  static double rate(const optim::Optimizer& optimizer) {
    return optimizer.param_groups()[0].options().get_lr();
  }
  static TrainingState state_of(SmallNet& net, optim::Optimizer& optimizer) {
    return TrainingState().model("model", net).optimizer("optimizer", optimizer);
  }
  // Rates of `count` more steps; steps are counted from `first`.
  static std::vector<double> go_on(optim::Optimizer& optimizer, const Made& made, int first,
                                   int count) {
    std::vector<double> rates;
    for (int t = first; t < first + count; ++t) {
      made.step(t);
      rates.push_back(rate(optimizer));
    }
    return rates;
  }
  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "state.ckp";
};

TEST_P(EveryScheduler, GoesOnWhereItWasAndOnlyIfItIsInTheState) {
  SmallNet net;
  optim::SGD optimizer(net->parameters(), 0.1);
  Made made = GetParam().make(optimizer, false);
  go_on(optimizer, made, 0, 11);
  save_file(file_, state_of(net, optimizer).part("scheduler", *made.part));
  const double saved = rate(optimizer);
  const std::vector<double> expected = go_on(optimizer, made, 11, 30);

  for (bool other : {false, true}) {
    optim::SGD fresh(net->parameters(), 0.3);  // its rate must not survive
    Made resumed = GetParam().make(fresh, other);
    load_file(file_, state_of(net, fresh).part("scheduler", *resumed.part));
    EXPECT_EQ(rate(fresh), saved);
    EXPECT_EQ(go_on(fresh, resumed, 11, 30), expected);
  }

  optim::SGD without(net->parameters(), 0.1);
  Made forgotten = GetParam().make(without, false);
  load_file(file_, state_of(net, without));
  EXPECT_EQ(go_on(without, forgotten, 11, 30) == expected, GetParam().rate_is_enough);
}

INSTANTIATE_TEST_SUITE_P(All, EveryScheduler, ::testing::ValuesIn(kCases),
                         [](const auto& tested) { return std::string(tested.param.name); });

class Scheduler : public ::testing::Test {
 protected:
  SmallNet net_;
  optim::SGD optimizer_{net_->parameters(), 0.1};
  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "state.ckp";
};

TEST_F(Scheduler, AnotherKindIsRefusedAndNothingChanges) {
  CosineAnnealingLR cosine(optimizer_, 20);
  cosine.step();
  save_file(file_, TrainingState().part("scheduler", cosine));
  ExponentialLR exponential(optimizer_, 0.5);
  ReduceLROnPlateau plateau(optimizer_);
  for (Part* part : {static_cast<Part*>(&exponential), static_cast<Part*>(&plateau)}) {
    std::string message = error_of(
        ErrorCode::mismatch, [&] { load_file(file_, TrainingState().part("scheduler", *part)); });
    EXPECT_TRUE(contains(message, "here, CosineAnnealingLR in the checkpoint"));
  }
  EXPECT_EQ(exponential.last_epoch(), 0);
}

TEST_F(Scheduler, WhatTheProgramSetsDifferentlyIsToldAndMayBeKept) {
  auto state = [&](optim::SGD& sgd, Part& part) {
    return TrainingState().model("model", net_).optimizer("optimizer", sgd).part("scheduler", part);
  };
  CosineAnnealingWarmRestarts saved(optimizer_, 20);
  auto saved_state = state(optimizer_, saved);
  for (int t = 0; t < 5; ++t) saved.step();
  save_file(file_, saved_state);
  for (const bool keep : {false, true}) {
    optim::SGD sgd(net_->parameters(), 0.01);
    CosineAnnealingWarmRestarts scheduler(sgd, 40);
    RestoreOptions options;
    if (keep) options.keep_constructed = {"optimizer/*/lr", "scheduler/T_0"};
    std::ostringstream text;
    text << load_file(file_, state(sgd, scheduler), options) << '\n';
    EXPECT_TRUE(contains(text.str(), "\n  optimizer/0/lr: program 0.01, checkpoint "));
    EXPECT_TRUE(contains(text.str(), keep ? ", kept 0.01\n" : ", kept 0.1\n"));
    EXPECT_TRUE(contains(text.str(), keep ? "scheduler/T_0: program 40, checkpoint 20, kept 40\n"
                                          : "scheduler/T_0: program 40, checkpoint 20, kept 20\n"));
    EXPECT_EQ(scheduler.last_epoch(), 5);
    EXPECT_EQ(scheduler.base_lrs(), std::vector<double>{keep ? 0.01 : 0.1});
    scheduler.step();  // T_cur and the cycle's length are where the checkpoint was
    const double top = keep ? 0.01 : 0.1;
    EXPECT_NEAR(scheduler.last_lr()[0], top * (1 + std::cos(std::numbers::pi * 6 / 20)) / 2, 1e-15);
  }
}

TEST_F(Scheduler, AnotherNumberOfGroupsOrPartsIsRefused) {
  ExponentialLR saved(optimizer_, 0.5);
  save_file(file_, TrainingState().part("scheduler", saved));
  optim::SGD two({{net_->fc1->parameters()}, {net_->fc2->parameters()}}, 0.1);
  ExponentialLR loaded(two, 0.5);
  std::string message = error_of(
      ErrorCode::mismatch, [&] { load_file(file_, TrainingState().part("scheduler", loaded)); });
  EXPECT_TRUE(contains(message, "scheduler/base_lrs: 2 groups here, 1 in the checkpoint"));

  SequentialLR three(optimizer_, {then<ExponentialLR>(0.5), then<ExponentialLR>(0.9)}, {3});
  save_file(file_, TrainingState().part("scheduler", three));
  SequentialLR one(optimizer_, {then<ExponentialLR>(0.5)}, {});
  message = error_of(ErrorCode::mismatch,
                     [&] { load_file(file_, TrainingState().part("scheduler", one)); });
  EXPECT_TRUE(contains(message, "scheduler: 1 schedulers here, 2 in the checkpoint"));
}

TEST_F(Scheduler, TheStateHasPyTorchsNames) {
  CosineAnnealingLR cosine(optimizer_, 20, 1e-3);
  cosine.step();
  save_file(file_, TrainingState().part("scheduler", cosine));
  const Value stored = open_file(file_).values().at("scheduler");
  EXPECT_EQ(*stored.find("T_max"), Value(20));
  EXPECT_EQ(*stored.find("eta_min"), Value(1e-3));
  EXPECT_EQ(*stored.find("last_epoch"), Value(1));
  EXPECT_EQ(*stored.find("_step_count"), Value(2));
  EXPECT_EQ(*stored.find("base_lrs"), Value(Value::List{0.1}));
  EXPECT_EQ(*stored.find("_last_lr"), Value(Value::List{cosine.last_lr()[0]}));
}

TEST_F(Scheduler, WhatPyTorchRefusesIsRefused) {
  auto refuse = [](const std::function<void()>& action) {
    return error_of(ErrorCode::invalid_argument, action);
  };
  EXPECT_TRUE(contains(refuse([&] { CosineAnnealingLR(optimizer_, 0); }), "T_max is 0"));
  EXPECT_TRUE(contains(refuse([&] { CosineAnnealingWarmRestarts(optimizer_, 0); }), "T_0 is 0"));
  EXPECT_TRUE(contains(refuse([&] { LinearWarmup(optimizer_, 5, 0.0); }), "from 0 to 1"));
  EXPECT_TRUE(contains(refuse([&] { OneCycleLR(optimizer_, 1, 0); }), "total_steps is 0"));
  EXPECT_TRUE(contains(refuse([&] { SequentialLR(optimizer_, {then<ExponentialLR>(0.5)}, {2}); }),
                       "one milestone less"));
  PlateauOptions options;
  options.mode = "lowest";
  EXPECT_TRUE(contains(refuse([&] { ReduceLROnPlateau(optimizer_, options); }), "\"lowest\""));
  optim::Adagrad adagrad(net_->parameters(), 0.1);
  EXPECT_TRUE(contains(refuse([&] { OneCycleLR(adagrad, 1, 10); }), "cycle_momentum = false"));
  OneCycleLR cycle(optimizer_, 1, 2);
  cycle.step();
  cycle.step();
  EXPECT_TRUE(contains(refuse([&] { cycle.step(); }), "step 3 of 2"));
}

}  // namespace
}  // namespace ckp::test
