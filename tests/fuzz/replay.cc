// Runs a fuzz target over the files of folders, and over a fixed number of mutations of each,
// without libFuzzer: so that every build and every compiler replays what fuzzing has found.
//
//   ckp_fuzz_replay_<target> MUTATIONS FOLDER...
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fuzz/target.h"
#include "support/effort.h"

extern "C" __attribute__((weak)) std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data,
                                                                     std::size_t size,
                                                                     std::size_t max_size,
                                                                     unsigned seed);

namespace {

using Input = std::vector<std::uint8_t>;

std::minstd_rand& generator() {
  static std::minstd_rand random;
  return random;
}

// What was on when a signal came.
std::string& current() {
  static std::string text;
  return text;
}

void report(int number) {
  const std::string& text = current();
  (void)!::write(2, text.data(), text.size());
  ::signal(number, SIG_DFL);
  ::raise(number);
}

Input read_input(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A buffer of exactly this size, so that a sanitizer sees every byte too far.
void run(const Input& input) {
  const Input exact(input);
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

void run_mutations(const Input& input, const std::string& name, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto seed = static_cast<unsigned>(i + 1);
    current() = name + ", mutation " + std::to_string(seed) + "\n";
    generator().seed(seed);
    Input changed(input);
    changed.resize(input.size() + 64);
    const auto mutate = LLVMFuzzerCustomMutator;
    const std::size_t size = mutate != nullptr
                                 ? mutate(changed.data(), input.size(), changed.size(), seed)
                                 : LLVMFuzzerMutate(changed.data(), input.size(), changed.size());
    changed.resize(size);
    run(changed);
  }
}

}  // namespace

// A plain stand-in for libFuzzer's.
std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size) {
  auto& random = generator();
  const std::size_t at = size == 0 ? 0 : random() % size;
  switch (random() % 5) {
    case 0:  // insert
      if (size == max_size) return size;
      std::copy_backward(data + at, data + size, data + size + 1);
      data[at] = static_cast<std::uint8_t>(random());
      return size + 1;
    case 1:  // erase
      if (size <= 1) return size;
      std::copy(data + at + 1, data + size, data + at);
      return size - 1;
    case 2:  // a number at the edge of its type
      if (size != 0) data[at] = static_cast<std::uint8_t>(random() % 2 == 0 ? 0xff : 0);
      return size;
    case 3:  // copy from elsewhere
      if (size != 0) data[at] = data[random() % size];
      return size;
    default:
      if (size != 0) data[at] = static_cast<std::uint8_t>(data[at] ^ (1u << (random() % 8)));
      return size;
  }
}

int main(int argc, char** argv) {
  for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) ::signal(number, report);
  if (argc < 3) return 2;
  const std::uint64_t mutations = ckp::test::effort(std::stoull(argv[1]));
  std::size_t inputs = 0;
  for (int i = 2; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      const Input input = read_input(entry.path());
      current() = entry.path().string() + "\n";
      run(input);
      run_mutations(input, entry.path().string(), mutations);
      ++inputs;
    }
  }
  std::printf("%zu inputs, %llu mutations of each\n", inputs,
              static_cast<unsigned long long>(mutations));
  return inputs == 0 ? 1 : 0;
}
