#include "libtorch/fake_device.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace ckp::test::fake_device {
namespace {

using c10::Stream;

// Any thread may wait for a stream.
class Streams {
 public:
  void push(c10::StreamId stream, std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    queues_[stream].push_back(std::move(work));
  }
  void finish(c10::StreamId stream) {
    const std::lock_guard lock(mutex_);
    if (broken_) TORCH_CHECK(false, "the fake device is broken");
    while (do_next(stream)) {
    }
  }
  // Of the stream's work; false when there is none. Under the mutex.
  bool do_next(c10::StreamId stream) {
    auto& queue = queues_[stream];
    if (queue.empty()) return false;
    const auto work = std::move(queue.front());
    queue.pop_front();
    work();
    return true;
  }
  c10::StreamId make() {
    const std::lock_guard lock(mutex_);
    return ++last_;
  }
  void set_broken(bool broken) {
    const std::lock_guard lock(mutex_);
    broken_ = broken;
  }

 private:
  std::recursive_mutex mutex_;
  std::map<c10::StreamId, std::deque<std::function<void()>>> queues_;
  c10::StreamId last_ = 0;
  bool broken_ = false;
};

Streams& streams() {
  static Streams all;
  return all;
}

thread_local c10::StreamId current = 0;
std::size_t allocated_bytes = 0;

c10::Device device() { return c10::Device(type, 0); }
Stream stream_of(c10::StreamId id) { return Stream(Stream::UNSAFE, device(), id); }

struct RecordedEvent {
  c10::StreamId stream = 0;
  bool reached = false;
};
using EventHandle = std::shared_ptr<RecordedEvent>;

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return fake_device::type; }
  c10::Device exchangeDevice(c10::Device) const override { return device(); }
  c10::Device getDevice() const override { return device(); }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  Stream getStream(c10::Device) const noexcept override { return stream_of(current); }
  Stream getDefaultStream(c10::Device) const override { return stream_of(0); }
  Stream getStreamFromGlobalPool(c10::Device, bool) const override {
    return stream_of(streams().make());
  }
  Stream exchangeStream(Stream stream) const noexcept override {
    return stream_of(std::exchange(current, stream.id()));
  }
  // None to autograd, which would have a thread for each and refuse to work in forked children.
  c10::DeviceIndex deviceCount() const noexcept override { return 0; }
  void destroyEvent(void* event, const c10::DeviceIndex) const noexcept override {
    delete static_cast<EventHandle*>(event);
  }
  void record(void** event, const Stream& stream, const c10::DeviceIndex,
              const c10::EventFlag) const override {
    destroyEvent(*event, 0);
    auto recorded = std::make_shared<RecordedEvent>(RecordedEvent{stream.id()});
    *event = new EventHandle(recorded);
    streams().push(stream.id(), [recorded] { recorded->reached = true; });
  }
  void block(void* event, const Stream& stream) const override {
    const EventHandle recorded = *static_cast<EventHandle*>(event);
    streams().push(stream.id(), [recorded] {
      while (!recorded->reached) streams().do_next(recorded->stream);
    });
  }
  bool queryEvent(void* event) const override {
    return (*static_cast<EventHandle*>(event))->reached;
  }
  bool queryStream(const Stream&) const override { return false; }
  void synchronizeStream(const Stream& stream) const override { streams().finish(stream.id()); }
  void recordDataPtrOnStream(const c10::DataPtr&, const Stream&) const override {}
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

at::Tensor make_strided(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType dtype) {
  std::size_t elements = 1;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) elements = 0;
    if (elements > 0) elements += static_cast<std::size_t>((sizes[i] - 1) * strides[i]);
  }
  const std::size_t bytes = elements * c10::elementSize(dtype);
  allocated_bytes += bytes;
  void* data = std::calloc(bytes + 1, 1);
  auto storage = c10::make_intrusive<c10::StorageImpl>(
      c10::StorageImpl::use_byte_size_t(), static_cast<std::int64_t>(bytes),
      c10::DataPtr(data, data, &std::free, device()), nullptr, false);
  auto tensor = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(std::move(storage)), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
      c10::scalarTypeToTypeMeta(dtype));
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides);
  return tensor;
}

std::vector<std::int64_t> row_major(at::IntArrayRef sizes) {
  std::vector<std::int64_t> strides(sizes.size(), 1);
  for (std::size_t i = sizes.size(); i > 1; --i) strides[i - 2] = strides[i - 1] * sizes[i - 1];
  return strides;
}

// std::optional, or in LibTorch 1 a class of its own.
template <class T>
struct OptionalOf;
template <template <class> class Template, class T>
struct OptionalOf<Template<T>> {
  template <class Other>
  using of = Template<Other>;
};
template <class T>
using Optional = OptionalOf<decltype(at::TensorOptions().device_opt())>::of<T>;

at::Tensor empty(at::IntArrayRef sizes, Optional<at::ScalarType> dtype, Optional<at::Layout>,
                 Optional<at::Device>, Optional<bool>, Optional<at::MemoryFormat>) {
  return make_strided(sizes, row_major(sizes), dtype.value_or(at::kFloat));
}
at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides,
                         Optional<at::ScalarType> dtype, Optional<at::Layout>, Optional<at::Device>,
                         Optional<bool>) {
  return make_strided(sizes, strides, dtype.value_or(at::kFloat));
}
at::Tensor& set_source(at::Tensor& self, at::Storage source, std::int64_t offset,
                       at::IntArrayRef sizes, at::IntArrayRef strides) {
  auto* impl = self.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(std::move(source));
  impl->set_storage_offset(offset);
  impl->set_sizes_and_strides(sizes, strides);
  return self;
}
// Of contiguous tensors of one size and type.
at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  TORCH_CHECK(from.is_contiguous() && to.is_contiguous() && from.nbytes() == to.nbytes());
  streams().push(current, [from, to] { std::memcpy(to.data_ptr(), from.data_ptr(), to.nbytes()); });
  if (!non_blocking) streams().finish(current);
  return to;
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("set_.source_Storage_storage_offset", &set_source);
  library.impl("_copy_from", &copy_from);
}

}  // namespace

at::Tensor make(at::IntArrayRef sizes, at::ScalarType dtype) {
  return make_strided(sizes, row_major(sizes), dtype);
}

void fill_later(const at::Tensor& tensor, float value) {
  streams().push(current, [tensor = tensor.detach(), value] {
    auto* data = static_cast<float*>(tensor.data_ptr());
    std::fill_n(data, tensor.numel(), value);
  });
}

void finish_current_stream() { streams().finish(current); }
void set_broken(bool broken) { streams().set_broken(broken); }
std::size_t allocated() { return allocated_bytes; }

}  // namespace ckp::test::fake_device
