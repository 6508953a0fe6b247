#include "checked.h"

#include "ckp/digest.h"

namespace ckp::format {

void write_versions(Writer& out, const Versions& versions) {
  out.u16(versions.write_version);
  out.u16(versions.read_version);
}

Versions read_versions(Reader& in) {
  Versions versions;
  versions.write_version = in.u16();
  versions.read_version = in.u16();
  return versions;
}

void write_features(Writer& out, const Features& features) {
  out.u64(features.ignore);
  out.u64(features.read_only);
  out.u64(features.refuse);
}

Features read_features(Reader& in) {
  Features features;
  features.ignore = in.u64();
  features.read_only = in.u64();
  features.refuse = in.u64();
  return features;
}

std::vector<std::byte> seal(Writer& out, std::size_t size) {
  out.zeros(size - 8 - out.size());
  out.u64(checksum_of(out.buffer()));
  return out.release();
}

bool is_sealed(std::span<const std::byte> bytes) {
  Reader in(bytes.last(8), "checksum");
  return in.u64() == checksum_of(bytes.first(bytes.size() - 8));
}

}  // namespace ckp::format
