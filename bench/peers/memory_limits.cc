// What the memory of this machine allows, for the side-by-side runs: a copy of the state and a hash
// of it, on some threads, and nothing else.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <thread>
#include <vector>

#include "ckp/digest.h"
#include "tensor.h"

using ckp::peers::Tensor;

namespace {

constexpr std::size_t piece_size = 1u << 20;  // a chunk

struct Piece {
  const std::byte* from;
  std::byte* to;
  std::size_t size;
};

// The tensors in pieces; `to` may be null.
std::vector<Piece> pieces_of(const Tensor* from, const Tensor* to, std::size_t count) {
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t at = 0; at < from[i].size; at += piece_size) {
      pieces.push_back({static_cast<const std::byte*>(from[i].data) + at,
                        to == nullptr ? nullptr : static_cast<std::byte*>(to[i].data) + at,
                        std::min<std::size_t>(piece_size, from[i].size - at)});
    }
  }
  return pieces;
}

void on_threads(unsigned threads, const std::vector<Piece>& pieces,
                const std::function<void(const Piece&)>& work) {
  std::atomic<std::size_t> next = 0;
  const auto take_pieces = [&] {
    for (std::size_t i = next++; i < pieces.size(); i = next++) work(pieces[i]);
  };
  std::vector<std::jthread> helpers;
  for (unsigned i = 1; i < threads; ++i) helpers.emplace_back(take_pieces);
  take_pieces();
}

}  // namespace

extern "C" {

// Copies every tensor of `from` to the one at the same place in `to`.
void ckp_peer_copy(const Tensor* from, const Tensor* to, std::size_t count, unsigned threads) {
  on_threads(threads, pieces_of(from, to, count),
             [](const Piece& piece) { std::memcpy(piece.to, piece.from, piece.size); });
}

// Hashes every tensor, a digest a piece; the digests' sum, so that none can be left out.
std::uint64_t ckp_peer_hash(const Tensor* tensors, std::size_t count, unsigned threads) {
  std::atomic<std::uint64_t> sum = 0;
  on_threads(threads, pieces_of(tensors, nullptr, count), [&](const Piece& piece) {
    sum += ckp::digest_of({piece.from, piece.size}).low;
  });
  return sum;
}

}  // extern "C"
