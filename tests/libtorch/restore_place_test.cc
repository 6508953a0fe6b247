// Where a restore puts tensors, and how much memory it takes meanwhile.
#include <fstream>
#include <iostream>

#include "ckp/libtorch/ema.h"
#include "small_net.h"

namespace ckp::test {
namespace {

// A number of /proc/self/status, in bytes.
std::int64_t status_bytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1)) * 1024;
  }
  return -1;
}

// Buffers that cannot be filled in place, as those of a GPU: their bits say "conjugate", those of
// the checkpoint do not.
struct ConjugatesImpl : torch::nn::Module {
  ConjugatesImpl(int count, std::int64_t elements, bool conjugate) {
    for (int i = 0; i < count; ++i) {
      const at::Tensor values =
          at::full({elements}, c10::complex<float>(static_cast<float>(i), 1), at::kComplexFloat);
      register_buffer("b" + std::to_string(i), conjugate ? values.conj() : values);
    }
  }
};
TORCH_MODULE(Conjugates);

TEST(RestorePlace, NeverASecondCopyOfTheModel) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer keeps freed memory";
#endif
  constexpr int kCount = 32;
  constexpr std::int64_t kElements = 1 << 20, kSize = kElements * 8;
  TemporaryDirectory folder;
  libtorch::save_file(folder / "a.ckp", *Conjugates(kCount, kElements, false));
  Conjugates model(kCount, kElements, true);
  model->buffers()[3].zero_();
  libtorch::RestoreOptions options;
  options.load.threads = 1;
  const Checkpoint checkpoint = open_file(folder / "a.ckp");
  std::ofstream("/proc/self/clear_refs") << 5;  // the highest mark begins again
  const std::int64_t before = status_bytes("VmRSS");
  auto state = libtorch::TrainingState().model("model", model);
  state.restore(checkpoint, options);
  const std::int64_t more = status_bytes("VmHWM") - before;
  std::cout << "[figure] restoring " << kCount * kSize << " bytes through host memory took " << more
            << " bytes of it\n";
  EXPECT_LT(more, kCount * kSize / 2);
  for (const auto& buffer : model->named_buffers()) {
    const float number = std::stof(buffer.key().substr(1));
    EXPECT_TRUE(buffer.value().is_conj());
    EXPECT_TRUE(at::all(at::eq(buffer.value(), c10::complex<float>(number, 1))).item<bool>())
        << buffer.key();
  }
}

// Makes its tensor anew at each restore, on a device that holds nothing unless told otherwise.
struct Elsewhere : libtorch::Part {
  void save(libtorch::PartWriter& out) const override { out.tensor("values", at::arange(5)); }
  void check(libtorch::PartReader& in) override {
    in.on_restore([this, made = in.new_tensor("values", at::kMeta)] { values = made; });
  }
  at::Tensor values;
};

TEST(RestorePlace, OfWhatTheRestoreMakesThePartsDeviceIsThatOfTheOptions) {
  TemporaryDirectory folder;
  Elsewhere part;
  auto state = libtorch::TrainingState().part("elsewhere", part);
  libtorch::save_file(folder / "a.ckp", state);
  libtorch::RestoreOptions options;
  error_of(ErrorCode::unsupported, [&] { libtorch::load_file(folder / "a.ckp", state, options); });
  options.devices.emplace("elsewhere", at::kCPU);
  libtorch::load_file(folder / "a.ckp", state, options);
  EXPECT_TRUE(at::equal(part.values, at::arange(5)));
}

TEST(RestorePlace, WhatTheProgramHasStaysWhereItIs) {
  TemporaryDirectory folder;
  SmallNet net, loaded;
  torch::optim::AdamW adam(net->parameters(), 0.1), fresh(loaded->parameters(), 0.1);
  libtorch::Ema ema(net, 0.9), averages(loaded, 0.9);
  train(net, adam, 0, 2);
  ema.update();
  auto state_of = [](SmallNet& n, auto& o, auto& e) {
    return libtorch::TrainingState().model("model", n).optimizer("optimizer", o).part("ema", e);
  };
  libtorch::save_file(folder / "a.ckp", state_of(net, adam, ema));
  const auto state = state_of(loaded, fresh, averages);
  libtorch::RestoreOptions options;
  options.devices.emplace("model", at::kMeta);
  options.devices.emplace("ema", at::kMeta);
  options.devices.emplace("optimizer", at::kCPU);
  libtorch::load_file(folder / "a.ckp", state, options);
  EXPECT_EQ(digest(loaded), digest(net));
  train(net, adam, 2, 2);
  train(loaded, fresh, 2, 2);
  EXPECT_EQ(digest(loaded), digest(net));

  const std::string before = digest(loaded);
  options.devices.emplace("optimiser", at::kCPU);
  EXPECT_TRUE(contains(error_of(ErrorCode::invalid_argument,
                                [&] { libtorch::load_file(folder / "a.ckp", state, options); }),
                       "devices names optimiser, which is no part of the state; nothing was "
                       "changed; its parts: model, optimizer, ema"));
  EXPECT_EQ(digest(loaded), before);
}

}  // namespace
}  // namespace ckp::test
