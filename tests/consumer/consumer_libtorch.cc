// The smallest use of the adapter: a module to a file and back.
#include <ckp/libtorch/save_file.h>
#include <torch/torch.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    torch::nn::Linear saved(4, 2), loaded(4, 2);
    ckp::libtorch::save_file(argv[1], *saved);
    ckp::libtorch::load_file(argv[1], *loaded);
    return torch::equal(saved->weight, loaded->weight) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
