// Makes the golden store of a format version, once, when that version is released:
//   ckp_make_golden_store tests/golden/v1/store
// and prints what must be found in it: tests/golden/v1/store.txt.
#include <filesystem>
#include <iostream>
#include <limits>
#include <vector>

#include "ckp/error.h"
#include "ckp/store.h"
#include "golden/describe_store.h"

namespace {

// 256 KiB that do not change between saves, a small tensor that does, and plain values.
ckp::CheckpointRecord save(ckp::Run& run, int epoch, double loss, bool nonfinite = false) {
  std::vector<float> frozen(65'536), weight(300);
  for (std::size_t i = 0; i < frozen.size(); ++i) frozen[i] = 0.001f * static_cast<float>(i % 9973);
  for (std::size_t i = 0; i < weight.size(); ++i)
    weight[i] = static_cast<float>(epoch * 10) - 0.25f;
  if (nonfinite) weight[7] = std::numeric_limits<float>::quiet_NaN();
  ckp::StateDict state;
  state.add("model/frozen", ckp::contiguous_view(ckp::DType::float32, {256, 256}, frozen.data()));
  state.add("model/weight", ckp::contiguous_view(ckp::DType::float32, {300}, weight.data()));
  state.set("progress/note", "plain value");
  ckp::SaveOptions options;
  options.epoch = epoch;
  options.step = epoch * 100;
  options.metrics = {{"val/loss", loss}};
  if (epoch == 2) options.tags = {{"keep", true}};
  return run.save(state, options).wait().checkpoint;
}

void make(const std::filesystem::path& path) {
  auto store = ckp::Store::create(path);
  ckp::RunOptions options;
  options.name = "cnn";
  options.experiment = "golden";
  options.parameters = {{"lr", 0.1}, {"layers", 3}};
  options.directions = {{"val/loss", ckp::Better::lower}};
  options.best_metric = "val/loss";
  std::vector<ckp::Uuid> retired;
  {
    auto run = store.create_run(options);
    retired.push_back(save(run, 1, 0.9).id);
    save(run, 2, 0.5);
    run.log(2, 250, {{"train/loss", 0.4}});
    save(run, 3, 0.7);
  }
  {
    auto run = store.resume_run("cnn", ckp::parse_address("cnn@2"));
    save(run, 3, 0.3);
    save(run, 4, 0.4, true);
    run.finish(ckp::RunStatus::completed);
  }
  options.name = "cnn fork/2";
  auto run = store.create_run(options);
  save(run, 1, 0.8);
  // Its file stays for the chunks that the others share: with fewer bytes, or retired.
  store.remove_checkpoints(retired);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: ckp_make_golden_store FOLDER > FOLDER.txt\n";
    return 2;
  }
  const std::filesystem::path path = argv[1];
  try {
    make(path);
    std::cout << ckp::golden::describe_store(ckp::Store::open(path));
    // Not part of the format.
    std::filesystem::remove_all(path / "index");
    std::filesystem::remove(path / "reserve");
  } catch (const ckp::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
