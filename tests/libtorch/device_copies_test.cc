// Saves of memory that is not the host's: what waits for what, on a device that does everything as
// late as it may.
#include "ckp/libtorch/tensor.h"
#include "ckp/state_digest.h"
#include "libtorch/fake_device.h"
#include "small_training.h"

namespace ckp::test {
namespace {

using fake_device::fill_later;

struct OnDevice : torch::nn::Module {
  OnDevice() {
    weight = register_parameter("weight", fake_device::make({1000}));
    average = register_buffer("average", fake_device::make({10}));
  }
  torch::Tensor weight, average;
};

class DeviceCopies : public Loop {
 protected:
  // What the state dict has for all elements of a tensor.
  static float value_in(const StateDict& state, const std::string& name) {
    const TensorView& view = state.tensors().at(name);
    const auto* data = static_cast<const float*>(view.storage);
    for (std::size_t i = 0; i * sizeof(float) < view.storage_size; ++i) {
      EXPECT_EQ(data[i], data[0]) << name << " at " << i;
    }
    return data[0];
  }
  OnDevice module_;
  TrainingState state_ = TrainingState().model("model", module_);
};

TEST_F(DeviceCopies, ComeAfterWhatTheStreamWasGivenAndAreThereOnReturn) {
  fill_later(module_.weight, 1);
  fill_later(module_.average, 2);
  const StateDict state = state_.state_dict();
  fill_later(module_.weight, 3);
  fake_device::finish_current_stream();
  EXPECT_EQ(value_in(state, "model/weight"), 1);
  EXPECT_EQ(value_in(state, "model/average"), 2);
}

TEST_F(DeviceCopies, OfALazySaveWhatAForwardPassChangesWaitsOnTheDevice) {
  state_.state_dict();  // there are zeros in the host memory that is used again
  fill_later(module_.weight, 1);
  fill_later(module_.average, 2);
  const StateDict state = state_.state_dict(SnapshotMode::lazy);
  EXPECT_EQ(value_in(state, "model/average"), 0) << "nobody has waited for the device yet";
  fill_later(module_.average, 3);
  fake_device::finish_current_stream();  // after the copy of the buffer, by the event
  EXPECT_EQ(value_in(state, "model/average"), 2);
  EXPECT_EQ(value_in(state, "model/weight"), 0);
  state.wait_readable();
  EXPECT_EQ(value_in(state, "model/weight"), 1);
}

TEST_F(DeviceCopies, ASaveWaitsBeforeItReads) {
  Store store = Store::create(path_);
  ckp::Run run = store.create_run({.name = "run"});
  for (const SnapshotMode mode : {SnapshotMode::copied, SnapshotMode::none, SnapshotMode::lazy}) {
    const auto number = static_cast<std::int64_t>(mode);
    fill_later(module_.weight, static_cast<float>(number + 5));
    SaveOptions options{.epoch = number, .step = number, .snapshot = mode};
    options.check_unchanged = true;
    PendingSave pending = run.save(state_.state_dict(mode), options);
    pending.wait_copied();
    fill_later(module_.weight, -1);
    fake_device::finish_current_stream();
    const Checkpoint checkpoint = store.open_checkpoint(pending.wait().checkpoint);
    EXPECT_TRUE(
        libtorch::read_tensor(checkpoint, "model/weight").eq(number + 5).all().item<bool>());
  }
  fill_later(module_.weight, 9);
  ckp::save_file(folder_ / "a.ckp", state_.state_dict(SnapshotMode::lazy));
  EXPECT_TRUE(
      libtorch::read_tensor(open_file(folder_ / "a.ckp"), "model/weight").eq(9).all().item<bool>());
}

TEST_F(DeviceCopies, HostMemoryIsUsedAgainOnceItIsFree) {
  auto first = std::make_unique<StateDict>(state_.state_dict());
  const void* memory = first->tensors().at("model/weight").storage;
  StateDict second = state_.state_dict();
  EXPECT_NE(second.tensors().at("model/weight").storage, memory);
  EXPECT_EQ(value_in(*first, "model/weight"), 0);
  first.reset();
  const std::size_t allocated = fake_device::allocated();
  const StateDict third = state_.state_dict(SnapshotMode::lazy);
  EXPECT_EQ(third.tensors().at("model/weight").storage, memory);
  EXPECT_EQ(fake_device::allocated(), allocated);  // none of the device's
}

TEST_F(DeviceCopies, WhatADeviceReportsMakesTheSaveFail) {
  Store store = Store::create(path_);
  ckp::Run run = store.create_run({.name = "run"});
  SaveOptions options{.epoch = 1, .step = 1, .snapshot = SnapshotMode::lazy};
  PendingSave pending = [&] {
    const StateDict state = state_.state_dict(SnapshotMode::lazy);
    fake_device::set_broken(true);
    return run.save(state, options);
  }();
  EXPECT_ANY_THROW(pending.wait());
  EXPECT_ANY_THROW(state_.state_dict());
  fake_device::set_broken(false);
  run.save(state_.state_dict(SnapshotMode::lazy), options).wait();
  EXPECT_EQ(store.checkpoints(run.record().id).size(), 1u);
}

TEST_F(DeviceCopies, ARestoreFillsTheDeviceAndPutsNewStateWhereItIsTold) {
  SmallNet net;
  torch::optim::AdamW adam(net->parameters(), 0.1);
  train(net, adam, 0, 2);
  libtorch::save_file(folder_ / "a.ckp",
                      TrainingState().model("model", net).optimizer("optimizer", adam));

  struct Flat : torch::nn::Module {
  } model;
  for (const auto& item : net->named_parameters()) {
    auto name = item.key();
    std::replace(name.begin(), name.end(), '.', '_');  // no dots in a module's own names
    model.register_parameter(name, fake_device::make(item.value().sizes()));
  }
  libtorch::RestoreOptions options;
  options.strict = false;
  options.select.include = {"model/fc*", "optimizer/fc*"};
  options.select.rename = {{"fc1.weight", "fc1_weight"},
                           {"fc1.bias", "fc1_bias"},
                           {"fc2.weight", "fc2_weight"},
                           {"fc2.bias", "fc2_bias"}};
  for (const auto& where : {c10::Device(fake_device::type, 0), c10::Device(at::kCPU)}) {
    torch::optim::AdamW fresh(model.parameters(), 0.1);
    options.devices.clear();
    if (where.is_cpu()) options.devices.emplace("optimizer", where);
    libtorch::load_file(folder_ / "a.ckp",
                        TrainingState().model("model", model).optimizer("optimizer", fresh),
                        options);
    const StateDict state =
        TrainingState().model("model", model).optimizer("optimizer", fresh).state_dict();
    const auto& view = state.tensors().at("model/fc1_weight");
    EXPECT_EQ(std::memcmp(view.storage, net->fc1->weight.data_ptr(), view.storage_size), 0);
    int states = 0;
    for (const auto& [key, one] : fresh.state()) {
      const auto& moments = static_cast<const torch::optim::AdamWParamState&>(*one);
      EXPECT_EQ(moments.exp_avg().device(), where);
      ++states;
    }
    EXPECT_EQ(states, 4);
  }
}

}  // namespace
}  // namespace ckp::test
