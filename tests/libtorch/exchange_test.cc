// Checkpoints of one LibTorch in another. Every version that runs this test with CKP_EXCHANGE set
// to the same folder leaves a file there and restores those of the others: tests/libtorch/wheel.sh
// runs it with two versions in turn. Without CKP_EXCHANGE there is only this version's file.
#include <torch/version.h>

#include <cstdlib>

#include "ckp/libtorch/ema.h"
#include "ckp/libtorch/grad_scaler.h"
#include "ckp/libtorch/lr_scheduler.h"
#include "ckp/libtorch/sampler.h"
#include "ckp/libtorch/swa.h"
#include "ckp/state_digest.h"
#include "small_net.h"

namespace ckp::test {
namespace {

using namespace libtorch;

// Tensors that a module may have as buffers.
struct OddOnes : torch::nn::Module {
  explicit OddOnes(double value) {
    auto dense = at::eye(3) * value;
    register_buffer("half", dense.to(at::kHalf));
    register_buffer("complex", dense.to(at::kComplexFloat));
    register_buffer("transposed", (dense + at::arange(3)).t());
    register_buffer("coo", dense.to_sparse());
    register_buffer("csr", dense.to_sparse_csr());
    register_buffer("quantized", at::quantize_per_tensor(dense, 0.1, 3, at::kQInt8));
  }
};

// A training with some of everything. `content` decides the values.
struct MixedTraining {
  explicit MixedTraining(int content) : odd_ones(content) {
    torch::manual_seed(static_cast<std::uint64_t>(content));
    for (int step = 0; step < content; ++step) {
      train(net, adamw, 10 * content + step, 1);
      ema.update();
      swa.update();
      scheduler.step();
      sampler.next();
    }
  }
  TrainingState state() {
    return TrainingState()
        .model("model", net)
        .model("odd_ones", odd_ones)
        .optimizer("optimizer", adamw)
        .part("scheduler", scheduler)
        .part("grad_scaler", scaler)
        .part("ema", ema)
        .part("swa", swa)
        .part("swa_lr", swa_lr)
        .part("sampler", sampler)
        .random_state("random");
  }
  SmallNet net;
  OddOnes odd_ones;
  torch::optim::AdamW adamw{net->parameters(), torch::optim::AdamWOptions(0.01).amsgrad(true)};
  CosineAnnealingLR scheduler{adamw, 20};
  GradScaler scaler;
  Ema ema{net, 0.9};
  Swa swa{net, {.begin = 1}};
  SWALR swa_lr{adamw, 0.002};
  Sampler sampler{100, 8, 42};
};

TEST(Exchange, WhatAnyVersionSavedIsRestoredBitForBit) {
  TemporaryDirectory folder;
  const char* shared = std::getenv("CKP_EXCHANGE");
  const std::filesystem::path exchange = shared == nullptr ? folder.path() : shared;
  std::filesystem::create_directories(exchange);
  MixedTraining saved(3);
  save_file(exchange / ("libtorch-" TORCH_VERSION ".ckp"), saved.state());

  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator(exchange)) {
    if (file.path().extension() != ".ckp") continue;
    ++files;
    MixedTraining loaded(5);
    RestoreReport report = load_file(file.path(), loaded.state());
    EXPECT_TRUE(report.missing.empty() && report.ignored.empty()) << file.path() << report;
    save_file(folder.path() / "again.tmp", loaded.state());
    const Checkpoint there = open_file(file.path()), again = open_file(folder.path() / "again.tmp");
    EXPECT_EQ(state_digest(again).total, state_digest(there).total) << file.path();
    for (const char* part :
         {"optimizer", "scheduler", "grad_scaler", "ema", "swa", "swa_lr", "sampler"}) {
      EXPECT_EQ(again.values().at(part), there.values().at(part)) << file.path() << part;
    }
  }
  std::cout << "restored the files of " << files << " version(s) with LibTorch " << TORCH_VERSION
            << "\n";
  EXPECT_GE(files, 1);
}

}  // namespace
}  // namespace ckp::test
