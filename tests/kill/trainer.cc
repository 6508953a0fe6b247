// A trainer to be killed: saves without a pause, and says in a file what has been acknowledged.
//
//   ckp_kill_trainer train STORE RUN ACKS [EPOCHS]     creates or resumes RUN
//   ckp_kill_trainer file PATH ACKS                    saves PATH anew, over and over
//
// Each acknowledgement is one line in ACKS, written in one piece after the call has returned:
// "begin PID", "log EPOCH", "save EPOCH COMMIT". Exit status 0 at the end; 3 when the run is held.
#include "kill/trainer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "ckp/error.h"
#include "ckp/save.h"
#include "ckp/store.h"

namespace ckp::test {
namespace {

class Acknowledgements {
 public:
  explicit Acknowledgements(const char* path)
      : file_(::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {}
  void say(std::string line) const {
    line += '\n';
    if (::write(file_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::abort();
  }

 private:
  int file_;
};

Run open_run(Store& store, const std::string& name) {
  const auto runs = store.runs();
  const bool exists =
      std::ranges::any_of(runs, [&](const RunRecord& run) { return run.name == name; });
  if (exists) return store.resume_run(name);
  RunOptions options;
  options.name = name;
  options.directions["loss"] = Better::lower;
  return store.create_run(options);
}

void train(const char* place, const std::string& name, const char* acks, std::int64_t epochs) {
  const Acknowledgements acknowledgements(acks);
  Store store = Store::open(place);
  Run run = open_run(store, name);
  acknowledgements.say("begin " + std::to_string(::getpid()));
  std::int64_t epoch = run.continued_from() ? run.continued_from()->record().epoch : 0;
  for (std::int64_t done = 0; done < epochs; ++done) {
    ++epoch;
    run.log(epoch, epoch, {{"loss", 1.0 / static_cast<double>(epoch)}});
    acknowledgements.say("log " + std::to_string(epoch));
    const SaveOptions options{.epoch = epoch, .step = epoch, .encode = {.threads = 1}};
    const auto saved = run.save(trained_state(name, epoch).dict(), options).wait().checkpoint;
    acknowledgements.say("save " + std::to_string(epoch) + " " + std::to_string(saved.commit));
  }
  run.finish(RunStatus::completed);
}

void save_over_and_over(const char* path, const char* acks) {
  const Acknowledgements acknowledgements(acks);
  for (std::int64_t epoch = 1;; ++epoch) {
    save_file(path, trained_state("file", epoch).dict(), {.epoch = epoch});
    acknowledgements.say("save " + std::to_string(epoch) + " 0");
  }
}

}  // namespace
}  // namespace ckp::test

int main(int argc, char** argv) {
  try {
    const std::string mode = argc > 1 ? argv[1] : "";
    if (mode == "train" && argc >= 5) {
      ckp::test::train(argv[2], argv[3], argv[4], argc > 5 ? std::atoll(argv[5]) : 1'000'000);
      return 0;
    }
    if (mode == "file" && argc == 4) ckp::test::save_over_and_over(argv[2], argv[3]);
    return 2;
  } catch (const ckp::Error& error) {
    std::fprintf(stderr, "trainer: %s\n", error.what());
    return error.code() == ckp::ErrorCode::locked ? 3 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "trainer: %s\n", error.what());
    return 1;
  }
}
