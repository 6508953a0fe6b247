// Saves into a store and loads back through the installed headers and libraries.
#include <ckp/state_dict.h>
#include <ckp/store.h>

#include <cstdio>
#include <exception>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    std::vector<float> weights(1000, 0.5f);
    ckp::StateDict state;
    state.add("model/weight", ckp::contiguous_view(ckp::DType::float32, {1000}, weights.data()));
    ckp::Store store = ckp::Store::create(argv[1]);
    ckp::Run run = store.create_run({.name = "consumer"});
    run.save(state, {.epoch = 1, .step = 10}).wait();
    run.finish(ckp::RunStatus::completed);

    const auto checkpoint = store.find(ckp::parse_address("consumer@1"));
    const auto bytes = store.open_checkpoint(checkpoint).read("model/weight");
    std::printf("%zu bytes of step %lld\n", bytes.size(), static_cast<long long>(checkpoint.step));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
