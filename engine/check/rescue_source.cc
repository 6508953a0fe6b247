#include "check/rescue_source.h"

#include <algorithm>

#include "ckp/error.h"

namespace ckp {
namespace {

// The file with another header.
class WithHeader : public format::ByteSource {
 public:
  WithHeader(std::shared_ptr<const format::ByteSource> file, const format::PackHeader& header)
      : file_(std::move(file)), header_(format::encode_pack_header(header)) {}
  std::uint64_t size() const override { return file_->size(); }
  std::string name() const override { return file_->name(); }
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    file_->read(offset, out);
    if (offset >= header_.size()) return;
    const auto from = std::span(header_).subspan(offset);
    std::copy_n(from.begin(), std::min(from.size(), out.size()), out.begin());
  }

 private:
  std::shared_ptr<const format::ByteSource> file_;
  std::vector<std::byte> header_;
};

// A pack is rewritten rarely.
constexpr std::uint32_t generations_tried = 8;

}  // namespace

bool rescue(OpenPack& pack, const Uuid& uuid) {
  if (pack.source->size() < format::PackHeader::size) return false;
  format::PackHeader header;
  header.uuid = uuid;
  header.may_use = format::pack_features;
  for (; header.generation < generations_tried; ++header.generation) {
    auto source = std::make_shared<const WithHeader>(pack.source, header);
    format::PackDirectory directory = format::scan_directory(*source);
    if (directory.chunks.empty() && directory.manifests.empty()) continue;
    pack.source = std::move(source);
    pack.directory = std::move(directory);
    return true;
  }
  return false;
}

}  // namespace ckp
