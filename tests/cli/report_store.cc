// ckp_report_store DIRECTORY [POINTS]: makes the store that report_browser_test.py looks at: a
// small sweep, with everything in it that a page may stumble over. POINTS: how much one more run
// logs.
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <span>

#include "ckp/store.h"
#include "support/small_state.h"

namespace ckp::test {
namespace {

constexpr std::int64_t epochs = 12, steps_per_epoch = 40;

// By a clock of its own, so that the table of runs always sorts alike.
class SteppingClock : public Clock {
 public:
  std::int64_t now_ns() override { return now_ += 1'700'000'000; }

 private:
  std::int64_t now_ = 1'790'000'000'000'000'000;
};

RunOptions options_of(const std::string& name, double lr, std::int64_t batch_size) {
  RunOptions options;
  options.name = name;
  options.experiment = "sweep";
  options.parameters = {{"lr", lr},
                        {"batch_size", batch_size},
                        {"optimizer", Value::Map{{"name", "AdamW"}, {"weight_decay", 0.01}}}};
  options.tags = {{"team", "vision"}};
  options.environment = {{"host", "gpu-7"}, {"commit", batch_size == 64 ? "4f1c2ab" : "90de331"}};
  options.directions = {{"val/loss", Better::lower}, {"val/accuracy", Better::higher}};
  options.best_metric = "val/loss";
  return options;
}

// A loss that falls from 2.3 and wiggles, the faster the larger lr is, and rises again in the end.
double loss_at(double lr, double step, double noise) {
  const double wiggle = noise * std::sin(step * 0.9) * std::cos(step * 0.37);
  return 0.28 + 2.0 * std::exp(-step * lr * 12) + step * step * lr * 2e-4 + wiggle;
}

void train(Run& run, double lr, std::int64_t from, std::int64_t to) {
  for (std::int64_t epoch = from; epoch < to; ++epoch) {
    for (std::int64_t i = 1; i <= steps_per_epoch; ++i) {
      const std::int64_t step = epoch * steps_per_epoch + i;
      run.log(epoch, step, {{"train/loss", loss_at(lr, static_cast<double>(step), 0.09)}});
    }
    const std::int64_t step = (epoch + 1) * steps_per_epoch;
    const double loss = loss_at(lr, static_cast<double>(step), 0.02) + 0.05;
    const std::map<std::string, double> metrics{{"val/loss", loss}, {"val/accuracy", 1 - loss / 3}};
    run.log(epoch + 1, step, metrics);
    SaveOptions save;
    save.epoch = epoch + 1;
    save.step = step;
    save.metrics = metrics;
    save.final = epoch + 1 == epochs;
    run.save(SmallState(static_cast<int>(epoch)).dict(), save).wait();
  }
}

void make_sweep(Store& store) {
  Run slow = store.create_run(options_of("cnn-lr0.0005-b64", 0.0005, 64));
  train(slow, 0.0005, 0, epochs);
  slow.finish(RunStatus::completed);
  Run good = store.create_run(options_of("cnn-lr0.001-b64", 0.001, 64));
  train(good, 0.001, 0, epochs);
  good.finish(RunStatus::completed);
  Run other = store.create_run(options_of("cnn-lr0.001-b32", 0.001, 32));
  train(other, 0.001, 0, 7);
  other.finish(RunStatus::failed);
}

// Goes on from its fourth epoch, leaves two behind, and loses the one that it went on from.
void make_resumed(Store& store) {
  const std::string name = "cnn-lr0.002-b64";
  {
    Run run = store.create_run(options_of(name, 0.002, 64));
    train(run, 0.002, 0, 6);
  }
  Run run = store.resume_run(name, parse_address(name + "@4"));
  const Uuid taken = run.continued_from()->record().id;
  train(run, 0.0021, 4, 9);
  store.remove_checkpoints(std::span(&taken, 1));
}

void make_hostile(Store& store) {
  RunOptions options = options_of("<script>alert(1)</script>", 0.01, 64);
  options.parameters["quote\"'`"] = "</script><img src=x onerror=alert(2)>";
  options.tags = {{"note", "line\u2028separator \u2029 & <b>bold</b>"}, {"__proto__", "x"}};
  Run run = store.create_run(options);
  const std::string odd = "odd \"metric\" </script><!--";
  for (std::int64_t step = 1; step <= 60; ++step) {
    double value = 1.0 / static_cast<double>(step) - 0.2;
    if (step == 20 || step == 21) value = std::numeric_limits<double>::quiet_NaN();
    if (step == 40) value = std::numeric_limits<double>::infinity();
    run.log(0, step,
            {{odd, value}, {"train/loss", 3.0 / static_cast<double>(step)}, {"__proto__", 1.0}});
  }
  SaveOptions save;
  save.step = 60;
  save.metrics = {{odd, -std::numeric_limits<double>::infinity()}};
  run.save(SmallState(1).dict(), save).wait();
}

void make_aliases(Store& store) {
  const auto promote = [&](const std::string& address, const std::string& note) {
    store.promote(store.find(parse_address(address)), "production",
                  {.note = note, .metadata = {{"region", "eu"}}});
  };
  promote("cnn-lr0.0005-b64@5", "first one that is good enough");
  promote("cnn-lr0.001-b64@best", "<b>better</b>");
}

void make_long(Store& store, std::int64_t points) {
  Run run = store.create_run(options_of("long", 0.001, 64));
  for (std::int64_t step = 1; step <= points; ++step) {
    const double x = static_cast<double>(step) / static_cast<double>(points) * 480;
    run.log(step / 1000, step, {{"train/loss", loss_at(0.001, x, 0.2)}});
  }
  run.finish(RunStatus::completed);
}

void make(const std::filesystem::path& directory, std::int64_t points) {
  StoreOptions options;
  options.clock = std::make_shared<SteppingClock>();
  Store store = Store::create(directory, options);
  make_sweep(store);
  make_resumed(store);
  make_hostile(store);
  make_aliases(store);
  if (points > 0) make_long(store, points);
  const std::vector<std::string> pruned{"cnn-lr0.001-b64"};
  KeepPolicy policy;
  policy.last = 4;
  store.prune(policy, pruned);
}

}  // namespace
}  // namespace ckp::test

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::cerr << "usage: ckp_report_store DIRECTORY [POINTS]\n";
    return 2;
  }
  ckp::test::make(argv[1], argc == 3 ? std::atoll(argv[2]) : 0);
}
