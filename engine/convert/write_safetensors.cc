// A checkpoint -> safetensors, one tensor in memory at a time.
#include <algorithm>

#include "ckp/convert.h"
#include "ckp/error.h"
#include "convert/export_plan.h"
#include "io/durable_file.h"

namespace ckp {
namespace {

// Changes the sign of every `stride`th scalar from `first` on. The sign is the highest bit of the
// last byte, for every float type.
void negate(std::span<std::byte> bytes, std::size_t scalar, std::size_t first, std::size_t stride) {
  for (std::size_t end = (first + 1) * scalar; end <= bytes.size(); end += stride * scalar) {
    bytes[end - 1] ^= std::byte{0x80};
  }
}

// PyTorch keeps conjugates and negatives of tensors as views with a flag. A safetensors file has
// no flags, so the bytes become what the tensor means.
std::vector<std::byte> plain_bytes(const Checkpoint& from, const format::TensorEntry& tensor) {
  std::vector<std::byte> bytes = from.read(tensor.name);
  const std::size_t scalar = scalar_size_of(tensor.dtype);
  const bool is_complex = scalar != size_of(tensor.dtype);
  if ((tensor.flags & format::tensor_flag::conjugate) != 0 && is_complex) {
    negate(bytes, scalar, 1, 2);
  }
  if ((tensor.flags & format::tensor_flag::negative) != 0 && is_floating(tensor.dtype)) {
    negate(bytes, scalar, 0, 1);
  }
  return bytes;
}

}  // namespace

ConvertReport write_safetensors(const Checkpoint& from, const std::filesystem::path& to,
                                const ExportOptions& options, std::shared_ptr<FileSystem> fs) {
  const ExportPlan plan = plan_export(from, options);
  const std::string header = safetensors::encode_header(plan.header);
  ConvertReport report;
  report.tensors = plan.sources.size();
  report.left_out = plan.left_out;
  write_durably(*fs, to, true, [&](FileAppender& out) {
    out.append(std::as_bytes(std::span(header)));
    for (const format::TensorEntry* tensor : plan.sources) out.append(plain_bytes(from, *tensor));
    report.bytes = out.offset();
  });
  return report;
}

}  // namespace ckp
