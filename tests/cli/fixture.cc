#include "cli/fixture.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "ckp/save.h"

namespace ckp::test {
namespace fs = std::filesystem;
namespace {

fs::path make_temporary_directory() {
  std::string pattern = (fs::temp_directory_path() / "ckptool-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp: " + pattern);
  return fs::canonical(pattern);
}

void redirect(int descriptor, const std::string& path, const char* mode) {
  std::FILE* const file = std::fopen(path.c_str(), mode);
  if (file == nullptr || ::dup2(::fileno(file), descriptor) < 0) ::_exit(126);
}

// In the child; does not return.
[[noreturn]] void become_ckptool(const std::vector<std::string>& arguments,
                                 const Surroundings& surroundings, const std::string& out,
                                 const std::string& err) {
  redirect(STDIN_FILENO, "/dev/null", "r");
  redirect(STDOUT_FILENO, out, "w");
  redirect(STDERR_FILENO, err, "w");
  if (::chdir(surroundings.directory.c_str()) != 0) ::_exit(125);
  ::unsetenv("CKPSTORE");
  for (const auto& [name, value] : surroundings.variables) {
    ::setenv(name.c_str(), value.c_str(), 1);
  }
  const std::string program = std::string(CKP_BIN_DIR) + "/ckptool";
  if (surroundings.open_files != 0) {
    const rlimit limit{surroundings.open_files, surroundings.open_files};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::_exit(124);
  }
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  ::_exit(127);
}

bool catches_interrupt(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("SigCgt:", 0) != 0) continue;
    return (std::strtoull(line.c_str() + 7, nullptr, 16) & (1u << (SIGINT - 1))) != 0;
  }
  return false;
}

// The memory behind a state dict.
struct Tensors {
  explicit Tensors(std::int64_t epoch) {
    // Any sequence that differs between epochs and does not compress to nothing.
    std::uint32_t state = static_cast<std::uint32_t>(epoch) * 2654435761u + 12345u;
    const auto fill = [&state](std::vector<float>& values) {
      for (float& value : values) {
        state = state * 1664525u + 1013904223u;
        value = static_cast<float>(static_cast<std::int32_t>(state)) / 2147483648.0f;
      }
    };
    fill(weight);
    fill(bias);
    state = 7;
    fill(embedding);
  }
  StateDict state(std::int64_t epoch) const {
    StateDict dict;
    dict.add("model/fc.weight", contiguous_view(DType::float32, {128, 256}, weight.data()));
    dict.add("model/fc.bias", contiguous_view(DType::float32, {128}, bias.data()));
    dict.add("model/embedding.weight",
             contiguous_view(DType::float32, {64, 512}, embedding.data()));
    dict.add("optimizer/fc.weight/exp_avg",
             contiguous_view(DType::float32, {128, 256}, average.data()));
    dict.set("progress/epoch", Value(epoch));
    return dict;
  }
  std::vector<float> weight = std::vector<float>(128 * 256);
  std::vector<float> bias = std::vector<float>(128);
  std::vector<float> embedding = std::vector<float>(64 * 512);
  std::vector<float> average = std::vector<float>(128 * 256);
};

}  // namespace

nlohmann::json Result::json() const {
  nlohmann::json parsed = nlohmann::json::parse(out, nullptr, false);
  EXPECT_FALSE(parsed.is_discarded()) << "not one JSON document: " << *this;
  return parsed;
}

bool contains(const std::string& text, const std::string& word) {
  return text.find(word) != std::string::npos;
}

std::ostream& operator<<(std::ostream& stream, const Result& result) {
  return stream << "\nexit " << result.code << "\nstdout: " << result.out
                << "\nstderr: " << result.err;
}

CliTest::CliTest() : root_(make_temporary_directory()) {}

CliTest::~CliTest() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

pid_t CliTest::start(const std::vector<std::string>& arguments, const Surroundings& surroundings,
                     const std::string& out, const std::string& err) const {
  Surroundings around = surroundings;
  if (around.directory.empty()) around.directory = root_;
  const pid_t child = ::fork();
  if (child == 0) become_ckptool(arguments, around, out, err);
  if (child < 0) throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
  return child;
}

Result CliTest::finish(pid_t child, const std::string& out, const std::string& err) const {
  int status = 0;
  if (::waitpid(child, &status, 0) != child) {
    ADD_FAILURE() << "waitpid: " << std::strerror(errno);
    return {};
  }
  Result result;
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  // Anything else is a device.
  if (fs::is_regular_file(out)) {
    result.out = read_bytes(out);
    fs::remove(out);
  }
  result.err = read_bytes(err);
  fs::remove(err);
  return result;
}

Result CliTest::ckptool(const std::vector<std::string>& arguments,
                        const Surroundings& surroundings) const {
  const bool collect = surroundings.standard_output.empty();
  const std::string out = collect ? (root_ / ".stdout").string() : surroundings.standard_output;
  const std::string err = (root_ / ".stderr").string();
  return finish(start(arguments, surroundings, out, err), out, err);
}

Result CliTest::interrupted_ckptool(const std::vector<std::string>& arguments) const {
  const std::string out = (root_ / ".stdout").string();
  const std::string err = (root_ / ".stderr").string();
  const pid_t child = start(arguments, {}, out, err);
  // Looked at while it stands still, so that it cannot end in between.
  for (bool sent = false; !sent;) {
    ::kill(child, SIGSTOP);
    siginfo_t state{};
    ::waitid(P_PID, static_cast<id_t>(child), &state, WSTOPPED | WEXITED | WNOWAIT);
    if (state.si_code != CLD_STOPPED) break;
    sent = catches_interrupt(child);
    if (sent) ::kill(child, SIGINT);
    ::kill(child, SIGCONT);
  }
  return finish(child, out, err);
}

void CliTest::expect_error(std::vector<std::string> arguments, int code,
                           const std::string& json_code,
                           const std::vector<std::string>& words) const {
  const Result plain = ckptool(arguments);
  EXPECT_EQ(plain.code, code) << plain;
  EXPECT_EQ(plain.out, "") << plain;
  EXPECT_EQ(plain.err.rfind("ckptool: ", 0), 0u) << plain;
  for (const std::string& word : words) {
    EXPECT_NE(plain.err.find(word), std::string::npos) << "expected: " << word << plain;
  }
  arguments.emplace_back("--json");
  const Result json = ckptool(arguments);
  EXPECT_EQ(json.code, code) << json;
  EXPECT_EQ(json.err.rfind("ckptool: ", 0), 0u) << json;
  const nlohmann::json error = json.json().value("error", nlohmann::json::object());
  EXPECT_EQ(error.value("code", ""), json_code) << json;
  EXPECT_EQ("ckptool: " + error.value("message", "") + "\n", json.err);
}

std::map<std::string, double> metrics_of(std::int64_t epoch) {
  const double distance = static_cast<double>(epoch > 3 ? epoch - 3 : 3 - epoch);
  return {{"train/loss", 1.0 / static_cast<double>(epoch)}, {"val/loss", 0.25 + distance / 16}};
}

std::vector<CheckpointRecord> save_epochs(Run& run, std::int64_t from, std::int64_t to) {
  std::vector<CheckpointRecord> saved;
  for (std::int64_t epoch = from; epoch <= to; ++epoch) {
    const Tensors tensors(epoch);
    SaveOptions options;
    options.epoch = epoch;
    options.step = epoch * 10;
    options.metrics = metrics_of(epoch);
    saved.push_back(run.save(tensors.state(epoch), options).wait().checkpoint);
  }
  return saved;
}

std::vector<CheckpointRecord> make_run(Store& store, const std::string& name, std::int64_t epochs,
                                       RunStatus end) {
  RunOptions options;
  options.name = name;
  options.parameters["lr"] = Value(0.001);
  options.directions["val/loss"] = Better::lower;
  options.best_metric = "val/loss";
  Run run = store.create_run(options);
  std::vector<CheckpointRecord> saved = save_epochs(run, 1, epochs);
  if (end == RunStatus::completed || end == RunStatus::failed) run.finish(end);
  return saved;
}

void make_file(const fs::path& path, std::int64_t epoch) {
  const Tensors tensors(epoch);
  SaveOptions options;
  options.epoch = epoch;
  options.step = epoch * 10;
  options.metrics = metrics_of(epoch);
  save_file(path, tensors.state(epoch), options);
}

void write_safetensors_file(const fs::path& path, const std::string& header,
                            std::size_t data_size) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) {
    bytes += static_cast<char>((static_cast<std::uint64_t>(header.size()) >> (8 * i)) & 0xff);
  }
  write_bytes(path, bytes + header + std::string(data_size, '\0'));
}

std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(file.flush()) << path;
}

void flip_byte(const fs::path& path, std::size_t offset) {
  std::string bytes = read_bytes(path);
  ASSERT_LT(offset, bytes.size());
  bytes[offset] = static_cast<char>(bytes[offset] ^ 0x10);
  write_bytes(path, bytes);
}

std::uint64_t bytes_below(const fs::path& directory) {
  std::uint64_t sum = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) sum += entry.file_size();
  }
  return sum;
}

}  // namespace ckp::test
