#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ckp/closest_name.h"
#include "ckp/error.h"
#include "ckp/load.h"
#include "ckp/shell_word.h"
#include "io/host.h"
#include "load/open_pack.h"
#include "load/read_plan.h"
#include "save/strided_view.h"

namespace ckp {
namespace {

const format::TensorEntry& find_tensor(const Checkpoint::Parts& parts, std::string_view name) {
  if (const format::TensorEntry* found = parts.manifest.find(name)) return *found;
  ClosestName closest(name);
  for (const format::TensorEntry& tensor : parts.manifest.tensors) closest.offer(tensor.name);
  const std::string hint = closest.best().empty()
                               ? std::string()
                               : fmt::format("; the closest name is {}", closest.best());
  throw Error(ErrorCode::not_found, fmt::format("{}: no tensor {}{}", parts.name, name, hint));
}

[[noreturn]] void refuse_target(const TensorTarget& target, const std::string& what) {
  throw Error(ErrorCode::invalid_argument, fmt::format("target {}: {}", target.name, what));
}

void check_target(const TensorTarget& target, const format::TensorEntry& stored) {
  if (target.shape != stored.shape || target.dtype != stored.dtype) {
    throw Error(ErrorCode::mismatch,
                fmt::format("{}: expected shape [{}] {}, the checkpoint has [{}] {}", target.name,
                            fmt::join(target.shape, ", "), to_string(target.dtype),
                            fmt::join(stored.shape, ", "), to_string(stored.dtype)));
  }
  if (target.strides.size() != target.shape.size()) {
    refuse_target(target, fmt::format("{} strides for {} dimensions", target.strides.size(),
                                      target.shape.size()));
  }
  if (is_empty(target.shape)) return;
  if (target.data == nullptr) refuse_target(target, "data is null, but there are elements");
  for (std::size_t d = 0; d < target.shape.size(); ++d) {
    if (target.strides[d] < 0) {
      refuse_target(target, fmt::format("dimension {} has stride {}", d, target.strides[d]));
    }
    // Different elements would be written to one place.
    if (target.shape[d] > 1 && target.strides[d] == 0 && stored.strides[d] != 0) {
      refuse_target(target, fmt::format("dimension {} has stride 0 and {} different elements", d,
                                        target.shape[d]));
    }
  }
}

void run_plan(ReadPlan& plan, const Checkpoint::Parts& parts, const LoadOptions& options) {
  const auto read = [&](const format::ChunkReference& reference, std::span<std::byte> out) {
    try {
      read_reference(parts.packs, parts.record.id, reference, out);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt) throw;
      throw Error(ErrorCode::corrupt, error.what() + damage_report(parts, reference.address));
    }
  };
  plan.run(read, options.threads);
}

}  // namespace

std::string damage_report(const Checkpoint::Parts& parts, const format::ChunkAddress& address) {
  std::string text;
  const auto names = tensors_in_chunk(parts.manifest, address);
  if (!names.empty()) text = fmt::format("; hits tensor {}", names[0]);
  if (names.size() > 1) {
    text += fmt::format(" and {} other{}", names.size() - 1, names.size() == 2 ? "" : "s");
  }
  return text + "; run: ckptool verify " +
         shell_word(parts.store.empty() ? parts.name : parts.store);
}

const CheckpointRecord& Checkpoint::record() const { return parts_->record; }
const format::Manifest& Checkpoint::manifest() const { return parts_->manifest; }
std::string Checkpoint::name() const { return parts_->name; }

void Checkpoint::load(std::span<const TensorTarget> targets, const LoadOptions& options) const {
  std::vector<const format::TensorEntry*> stored;
  stored.reserve(targets.size());
  for (const TensorTarget& target : targets) {
    stored.push_back(&find_tensor(*parts_, target.name));
    check_target(target, *stored.back());
  }
  ReadPlan plan(parts_->manifest);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    plan.add_tensor(*stored[i], targets[i].strides, static_cast<std::byte*>(targets[i].data));
  }
  run_plan(plan, *parts_, options);
}

namespace {

// A file of a few bytes may claim terabytes, which the kernel might promise, too.
std::vector<std::byte> make_buffer(std::uint64_t size, const std::string& name,
                                   std::string_view what) {
  try {
    if (size <= memory_size()) return std::vector<std::byte>(size);
  } catch (const std::exception&) {
  }
  throw Error(
      ErrorCode::unsupported,
      fmt::format("{}: {} needs {} bytes of memory, which are not to be had", name, what, size));
}

}  // namespace

std::vector<std::byte> Checkpoint::read(std::string_view tensor, const LoadOptions& options) const {
  const format::TensorEntry& stored = find_tensor(*parts_, tensor);
  std::uint64_t size = size_of(stored.dtype);
  for (const std::int64_t n : stored.shape) size *= static_cast<std::uint64_t>(n);
  std::vector<std::byte> bytes = make_buffer(size, parts_->name, tensor);
  ReadPlan plan(parts_->manifest);
  plan.add_tensor(stored, contiguous_strides(stored.shape), bytes.data());
  run_plan(plan, *parts_, options);
  return bytes;
}

std::vector<std::byte> Checkpoint::read_storage(std::uint32_t index,
                                                const LoadOptions& options) const {
  const auto& storages = parts_->manifest.storages;
  if (index >= storages.size()) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}: storage {} was asked for, there are {}", parts_->name, index,
                            storages.size()));
  }
  std::vector<std::byte> bytes = make_buffer(storages[index].size, parts_->name, "a storage");
  ReadPlan plan(parts_->manifest);
  plan.add_storage(index, bytes.data());
  run_plan(plan, *parts_, options);
  return bytes;
}

}  // namespace ckp
