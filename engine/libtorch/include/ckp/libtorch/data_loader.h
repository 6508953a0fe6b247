// A resumable Sampler inside torch::data::make_data_loader:
//
//   ckp::libtorch::Sampler sampler(size, 64, seed);
//   auto loader = torch::data::make_data_loader(dataset, ckp::libtorch::LoaderSampler(sampler),
//                                               torch::data::DataLoaderOptions(64).workers(4));
//   for (auto& batch : ckp::libtorch::consume(*loader, sampler)) { ... }  // one epoch
//
// A DataLoader resets its sampler in begin() and draws batches ahead of the loop. Here begin()
// goes on at the sampler's position, and only batches that the loop has got count as consumed.
// Leave enforce_ordering on: without it the batches that were delivered are no beginning of the
// epoch's order, and no position could describe them.
#pragma once

#include <torch/data/samplers/base.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "ckp/libtorch/sampler.h"

namespace ckp::libtorch {

// Refers to a Sampler, which must outlive the loader. Copies refer to the same one.
class LoaderSampler {
 public:
  using BatchRequestType = std::vector<std::size_t>;
  // LibTorch's optional: its own in 1.13, the standard one in 2.x.
  using Request = decltype(std::declval<torch::data::samplers::Sampler<>&>().next(std::size_t{1}));

  explicit LoaderSampler(Sampler& sampler) : sampler_(&sampler) {}

  void reset() { sampler_->begin_loader(); }
  Request next(std::size_t batch_size);

 private:
  Sampler* sampler_;
};

// The batches that are left of the running epoch. Each counts as consumed when the loop gets it, so
// that a save in the loop's body includes it; at the loop's end the next epoch begins. After a
// break out of the loop make a new loader: LibTorch's cannot begin again before its end.
template <class Loader>
class ConsumedBatches {
  using Inner = decltype(std::declval<Loader&>().begin());

 public:
  class Iterator {
   public:
    Iterator(Inner inner, Inner end, Sampler* sampler)
        : inner_(std::move(inner)), end_(std::move(end)), sampler_(sampler) {
      if (sampler_ != nullptr) count();
    }
    decltype(auto) operator*() { return *inner_; }
    Iterator& operator++() {
      ++inner_;
      count();
      return *this;
    }
    bool operator!=(const Iterator&) const { return inner_ != end_; }

   private:
    void count() {
      if (inner_ != end_) {
        sampler_->delivered();
      } else {
        sampler_->end_epoch();
      }
    }
    Inner inner_, end_;
    Sampler* sampler_;
  };

  ConsumedBatches(Loader& loader, Sampler& sampler) : loader_(loader), sampler_(sampler) {}
  Iterator begin() { return {loader_.begin(), loader_.end(), &sampler_}; }
  Iterator end() { return {loader_.end(), loader_.end(), nullptr}; }

 private:
  Loader& loader_;
  Sampler& sampler_;
};

template <class Loader>
ConsumedBatches<Loader> consume(Loader& loader, Sampler& sampler) {
  return {loader, sampler};
}

}  // namespace ckp::libtorch
