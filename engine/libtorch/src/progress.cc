#include "ckp/libtorch/progress.h"

#include "ckp/error.h"

namespace ckp::libtorch {

void Progress::count_step(std::int64_t batch_size) {
  ++step;
  ++batch;
  samples += batch_size;
}

void Progress::end_epoch() {
  ++epoch;
  batch = 0;
  means.clear();
}

void Progress::save(PartWriter& out) const {
  out.value("epoch", epoch);
  out.value("step", step);
  out.value("batch", batch);
  out.value("samples", samples);
  out.value("trained_seconds", trained_seconds);
  Value::Map sums;
  for (const auto& [name, mean] : means) {
    sums[name] = Value::Map{{"sum", mean.sum}, {"count", mean.count}};
  }
  out.value("means", std::move(sums));
}

void Progress::check(PartReader& in) {
  std::map<std::string, RunningMean> stored;
  for (const auto& [name, mean] : in.value("means").as_map()) {
    const Value* sum = mean.find("sum");
    const Value* count = mean.find("count");
    if (sum == nullptr || count == nullptr) {
      in.mismatch(in.part() + "/means/" + name + ": needs a sum and a count");
      continue;
    }
    stored[name] = {sum->as_double(), count->as_int()};
  }
  const Value* seconds = in.find_value("trained_seconds");
  in.on_restore([this, epochs = in.value("epoch").as_int(), steps = in.value("step").as_int(),
                 batches = in.value("batch").as_int(), seen = in.value("samples").as_int(),
                 seconds = seconds == nullptr ? 0.0 : seconds->as_double(),
                 stored = std::move(stored)] {
    epoch = epochs;
    step = steps;
    batch = batches;
    samples = seen;
    trained_seconds = seconds;
    means = stored;
  });
}

}  // namespace ckp::libtorch
