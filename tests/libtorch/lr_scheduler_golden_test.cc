// Our schedulers against PyTorch's, whose rates golden/training_parts.py has written down.
#include <fstream>
#include <nlohmann/json.hpp>

#include "ckp/libtorch/lr_scheduler.h"
#include "small_net.h"

namespace ckp::test {
namespace {

namespace optim = torch::optim;
using namespace libtorch;

// Both are double arithmetic in the same order; what is left is the last bit of another C library's
// cos and pow, carried over 1,000 steps.
constexpr double kTolerance = 1e-12;

using Rates = std::vector<std::vector<double>>;
using Stepper = std::function<void(std::int64_t)>;

struct Course {
  Rates rates;
  std::vector<double> sums{0, 0};
  std::vector<double> momentum;
};

std::vector<optim::OptimizerParamGroup> groups(
    const std::function<std::unique_ptr<optim::OptimizerOptions>(double)>& options) {
  std::vector<optim::OptimizerParamGroup> made;
  for (double lr : {0.1, 0.003}) {
    made.emplace_back(std::vector<torch::Tensor>{torch::zeros({1}, torch::requires_grad())},
                      options(lr));
  }
  return made;
}

std::unique_ptr<optim::Optimizer> sgd_of_two_groups() {
  auto options = [](double lr) {
    return std::make_unique<optim::SGDOptions>(optim::SGDOptions(lr).momentum(0.5));
  };
  return std::make_unique<optim::SGD>(groups(options), optim::SGDOptions(0.1));
}

std::unique_ptr<optim::Optimizer> adam_of_two_groups() {
  auto options = [](double lr) { return std::make_unique<optim::AdamOptions>(lr); };
  return std::make_unique<optim::Adam>(groups(options), optim::AdamOptions(0.1));
}

double momentum_of(const optim::OptimizerParamGroup& group) {
  const auto* adam = dynamic_cast<const optim::AdamOptions*>(&group.options());
  if (adam != nullptr) return std::get<0>(adam->betas());
  return static_cast<const optim::SGDOptions&>(group.options()).momentum();
}

double metric(std::int64_t t) {
  return 1.0 / static_cast<double>(1 + t / 40) + static_cast<double>(t * 7919 % 101) / 1000;
}

Course run(optim::Optimizer& optimizer, const Stepper& step) {
  Course course;
  for (std::int64_t t = 0; t <= 1000; ++t) {
    if (t > 0) step(t);
    std::vector<double> rates;
    for (std::size_t g = 0; g < 2; ++g) {
      rates.push_back(optimizer.param_groups()[g].options().get_lr());
      course.sums[g] += static_cast<double>(t) * rates[g];
    }
    if (t % 10 != 0) continue;
    course.rates.push_back(rates);
    course.momentum.push_back(momentum_of(optimizer.param_groups()[0]));
  }
  return course;
}

const nlohmann::json& golden() {
  static const nlohmann::json all = [] {
    std::ifstream file(CKP_SOURCE_DIR "/tests/libtorch/golden/training_parts.json");
    return nlohmann::json::parse(file);
  }();
  return all;
}

void expect_near(double expected, double found, const std::string& what) {
  EXPECT_NEAR(found, expected, kTolerance * std::abs(expected)) << what;
}

void compare(const std::string& name, const Course& course) {
  const auto& expected = golden().at("schedulers").at(name);
  const auto rates = expected.at("lr").get<Rates>();
  ASSERT_EQ(rates.size(), course.rates.size());
  for (std::size_t i = 0; i < rates.size(); ++i) {
    for (std::size_t g = 0; g < 2; ++g) {
      expect_near(rates[i][g], course.rates[i][g], name + " at " + std::to_string(10 * i));
    }
    if (!expected.contains("momentum")) continue;
    expect_near(expected.at("momentum")[i].get<double>(), course.momentum[i], name + " momentum");
  }
  for (std::size_t g = 0; g < 2; ++g) {
    expect_near(expected.at("sum")[g].get<double>(), course.sums[g], name + " sum");
  }
}

template <class Scheduler, class... Arguments>
void check(const std::string& name, std::unique_ptr<optim::Optimizer> optimizer,
           Arguments... arguments) {
  Scheduler scheduler(*optimizer, arguments...);
  compare(name, run(*optimizer, [&](std::int64_t) { scheduler.step(); }));
}

TEST(LRSchedulerGolden, CosineAnnealing) {
  check<CosineAnnealingLR>("cosine", sgd_of_two_groups(), 50, 1e-4);
  check<CosineAnnealingLR>("cosine_once", sgd_of_two_groups(), 1000);
}

TEST(LRSchedulerGolden, CosineAnnealingWarmRestarts) {
  check<CosineAnnealingWarmRestarts>("restarts", sgd_of_two_groups(), 10, 2, 1e-5);
  check<CosineAnnealingWarmRestarts>("restarts_equal", sgd_of_two_groups(), 30);
}

TEST(LRSchedulerGolden, MultiStep) {
  check<MultiStepLR>("multi_step", sgd_of_two_groups(), std::vector<std::int64_t>{30, 80, 80, 503},
                     0.3);
}

TEST(LRSchedulerGolden, Exponential) {
  check<ExponentialLR>("exponential", sgd_of_two_groups(), 0.995);
}

TEST(LRSchedulerGolden, OneCycle) {
  check<OneCycleLR>("one_cycle", sgd_of_two_groups(), 0.4, 1000);
  OneCycleOptions options;
  options.pct_start = 0.25;
  options.anneal_strategy = "linear";
  options.three_phase = true;
  check<OneCycleLR>("one_cycle_three_phase", adam_of_two_groups(), 0.4, 1000, options);
}

TEST(LRSchedulerGolden, LinearWarmup) {
  check<LinearWarmup>("warmup", sgd_of_two_groups(), 37, 0.1);
}

TEST(LRSchedulerGolden, Sequential) {
  check<SequentialLR>(
      "sequential", sgd_of_two_groups(),
      std::vector<SchedulerMaker>{then<LinearWarmup>(100, 0.01), then<CosineAnnealingLR>(700, 1e-4),
                                  then<ExponentialLR>(0.99)},
      std::vector<std::int64_t>{100, 800});
}

TEST(LRSchedulerGolden, TwoOnOneOptimizer) {
  auto optimizer = sgd_of_two_groups();
  ExponentialLR first(*optimizer, 0.999);
  MultiStepLR second(*optimizer, {500}, 0.1);
  compare("chained", run(*optimizer, [&](std::int64_t) {
            first.step();
            second.step();
          }));
}

TEST(LRSchedulerGolden, SWALR) {
  check<SWALR>("swa", sgd_of_two_groups(), 0.05, 300);
  check<SWALR>("swa_linear", sgd_of_two_groups(), std::vector<double>{0.02, 0.001}, 700, "linear");
  check<SWALR>("swa_at_once", sgd_of_two_groups(), 0.01, 0);
  check<SequentialLR>("swa_sequential", sgd_of_two_groups(),
                      std::vector<SchedulerMaker>{then<ExponentialLR>(0.99), then<SWALR>(0.05, 50)},
                      std::vector<std::int64_t>{300});
}

// As people use it: another scheduler until averaging begins.
TEST(LRSchedulerGolden, SWALRAfterAnotherScheduler) {
  auto optimizer = sgd_of_two_groups();
  ExponentialLR first(*optimizer, 0.999);
  SWALR later(*optimizer, 0.05, 100);
  compare("swa_later", run(*optimizer, [&](std::int64_t t) {
            if (t > 400) {
              later.step();
            } else {
              first.step();
            }
          }));
}

TEST(LRSchedulerGolden, ReduceOnPlateau) {
  PlateauOptions lower, higher;
  lower.factor = 0.5;
  lower.patience = 25;
  higher.mode = "max";
  higher.factor = 0.7;
  higher.patience = 40;
  higher.threshold = 0.01;
  higher.threshold_mode = "abs";
  higher.cooldown = 20;
  higher.min_lr = 1e-3;
  for (auto& [name, options] : {std::pair{"plateau", lower}, std::pair{"plateau_max", higher}}) {
    auto optimizer = sgd_of_two_groups();
    ReduceLROnPlateau scheduler(*optimizer, options);
    compare(name, run(*optimizer, [&](std::int64_t t) { scheduler.step(metric(t)); }));
  }
}

}  // namespace
}  // namespace ckp::test
