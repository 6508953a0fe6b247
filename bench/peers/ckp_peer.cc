// The trainer's side of ckpstore behind a C interface, so that the side-by-side runs can drive it
// from Python (library.py). Python passes names and pointers only; everything a C++ trainer does at
// a save, describing its state included, is done here.
//
// Every function that can fail returns a negative number then; ckp_peer_error() says why.
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ckp/store.h"
#include "tensor.h"

using ckp::peers::Tensor;

namespace {

thread_local std::string last_error;

// Runs `work`; its result, or -1 after an exception.
template <typename Work>
std::int64_t guarded(const Work& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    last_error = error.what();
    return -1;
  }
}

ckp::format::Compression compression_from(const std::string& name) {
  const auto level = ckp::format::compression_named(name);
  if (!level) throw std::invalid_argument("no compression is called " + name);
  return *level;
}

ckp::StateDict describe(const Tensor* tensors, std::size_t count) {
  ckp::StateDict state;
  for (const Tensor* tensor = tensors; tensor != tensors + count; ++tensor) {
    ckp::TensorView view;
    view.dtype = ckp::peers::dtype_of(*tensor);
    view.shape = ckp::peers::shape_of(*tensor);
    view.strides = ckp::peers::strides_of(*tensor);
    view.storage = tensor->data;
    view.storage_size = tensor->size;
    state.add(tensor->name, std::move(view));
  }
  return state;
}

std::vector<ckp::TensorTarget> targets_of(const Tensor* tensors, std::size_t count) {
  std::vector<ckp::TensorTarget> targets;
  targets.reserve(count);
  for (const Tensor* tensor = tensors; tensor != tensors + count; ++tensor) {
    targets.push_back({tensor->name, ckp::peers::dtype_of(*tensor), ckp::peers::shape_of(*tensor),
                       ckp::peers::strides_of(*tensor), tensor->data});
  }
  return targets;
}

ckp::CheckpointRecord find(const ckp::Store& store, const char* address) {
  return store.find(ckp::parse_address(address));
}

}  // namespace

extern "C" {

// A store with one run in it, and the saves that have not been waited for.
struct CkpPeerTrainer {
  ckp::Store store;
  ckp::Run run;
  ckp::EncodeOptions encode;
  ckp::SnapshotMode snapshot;
  std::vector<ckp::PendingSave> pending;
};

// What the last failed call on this thread was about.
const char* ckp_peer_error() { return last_error.c_str(); }

// Opens or makes the store and starts the run `name` in it. `compression` is none, fast, balanced
// or archive. Null on failure.
CkpPeerTrainer* ckp_peer_start(const char* store_path, const char* name, const char* compression,
                               int synchronous) {
  std::unique_ptr<CkpPeerTrainer> trainer;
  guarded([&] {
    const auto level = compression_from(compression);
    ckp::Store store = ckp::Store::open_or_create(store_path);
    ckp::Run run = store.create_run({.name = name,
                                     .directions = {{"val/loss", ckp::Better::lower}},
                                     .best_metric = "val/loss"});
    trainer.reset(
        new CkpPeerTrainer{std::move(store),
                           std::move(run),
                           {.compression = level},
                           synchronous != 0 ? ckp::SnapshotMode::none : ckp::SnapshotMode::copied,
                           {}});
    return 0;
  });
  return trainer.release();
}

// Hands one state over. When it returns, the tensors may change; the save may still go on.
std::int64_t ckp_peer_save(CkpPeerTrainer* trainer, const Tensor* tensors, std::size_t count,
                           std::int64_t epoch, double val_loss) {
  return guarded([&] {
    ckp::StateDict state = describe(tensors, count);
    state.set("progress/epoch", epoch);
    trainer->pending.push_back(trainer->run.save(state, {.epoch = epoch,
                                                         .step = epoch,
                                                         .metrics = {{"val/loss", val_loss}},
                                                         .encode = trainer->encode,
                                                         .snapshot = trainer->snapshot}));
    return 0;
  });
}

// Waits until every save so far is durable. The first that failed is the error.
std::int64_t ckp_peer_wait(CkpPeerTrainer* trainer) {
  return guarded([&] {
    std::vector<ckp::PendingSave> pending = std::move(trainer->pending);
    trainer->pending.clear();
    for (ckp::PendingSave& save : pending) save.wait();
    return 0;
  });
}

// Ends the run and lets go of the store.
std::int64_t ckp_peer_finish(CkpPeerTrainer* trainer) {
  const std::unique_ptr<CkpPeerTrainer> owned(trainer);
  return guarded([&] {
    owned->run.finish(ckp::RunStatus::completed);
    return 0;
  });
}

// Opens the store and fills the targets from the checkpoint at `address`.
std::int64_t ckp_peer_load(const char* store_path, const char* address, const Tensor* targets,
                           std::size_t count) {
  return guarded([&] {
    const ckp::Store store = ckp::Store::open(store_path);
    store.open_checkpoint(find(store, address)).load(targets_of(targets, count));
    return 0;
  });
}

// Opens the store and finds the epoch of the checkpoint at `address`.
std::int64_t ckp_peer_epoch(const char* store_path, const char* address) {
  return guarded([&] { return find(ckp::Store::open(store_path), address).epoch; });
}

// Makes the index anew; the number of checkpoints that it found.
std::int64_t ckp_peer_rebuild_index(const char* store_path) {
  return guarded([&] {
    ckp::Store store = ckp::Store::open(store_path);
    return static_cast<std::int64_t>(store.rebuild_index().checkpoints);
  });
}

}  // extern "C"
