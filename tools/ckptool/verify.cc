// ckptool verify: checks what is on disk.
#include "ckp/verify.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>

#include "ckp/clock.h"
#include "ckp/retention.h"
#include "command.h"
#include "interrupt.h"
#include "progress.h"
#include "render.h"
#include "source.h"
#include "verify_report.h"

namespace ckp::tool {
namespace {

// All of `text` as a number, or nothing.
template <class Number>
bool parse_number(std::string_view text, Number& number) {
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  return parsed.ec == std::errc{} && parsed.ptr == end;
}

// "10%" or "0.1".
double parse_share(std::string_view text) {
  const bool percent = text.ends_with('%');
  double share = 0;
  const bool is_number = parse_number(text.substr(0, text.size() - (percent ? 1 : 0)), share);
  if (percent) share /= 100;
  if (is_number && share > 0 && share <= 1) return share;
  throw UsageError(fmt::format("--subset {}: expected a share such as 10% or 0.1", text));
}

std::uint64_t parse_seed(std::string_view text) {
  std::uint64_t seed = 0;
  if (parse_number(text, seed)) return seed;
  throw UsageError(fmt::format("--seed {}: expected a number", text));
}

// Days since 1970: a daily check of a tenth has seen everything after ten days.
std::uint64_t seed_of_today() {
  constexpr std::int64_t day_ns = 86'400'000'000'000;
  return static_cast<std::uint64_t>(system_clock()->now_ns() / day_ns);
}

class Verify : public Command {
 public:
  Verify()
      : Command("verify", "Check a store or a file; the default checks every stored byte",
                "ckptool verify ./store --full\n"
                "ckptool verify ./store --subset 10% --max-duration 10m\n"
                "ckptool verify model.ckp") {}

 private:
  void declare() override {
    store_positional(
        "The store, or one .ckp file; left out: --store, $CKPSTORE, or upward from here");
    CLI::Option* const structure =
        flag("--structure", structure_, "Only headers, tables, manifests, journals and references");
    flag("--full", full_, "Also decode every chunk and check its digest")->excludes(structure);
    option("--subset", "SHARE", subset_,
           "Read only this share of the chunks, such as 10%; structure is checked in full");
    option("--seed", "N", seed_,
           "Which share: with 10%, ten seeds in a row cover everything. Left out: the day")
        ->needs("--subset");
    option("--max-duration", "TIME", max_duration_, "Stop after this long: 30s, 10m, 2h");
  }

  ExitCode run(Context& context) override {
    const std::vector<std::string> given = arguments();
    const bool one_file =
        given.size() == 1 && store_option().empty() && means_file(given[0], *context.file_system);
    Interrupt interrupt;
    Progress progress("verify", quiet());
    VerifyOptions options = chosen_options();
    options.progress = [&](const VerifyProgress& now) {
      progress.update(now.bytes_done, now.bytes_total);
    };
    options.cancelled = [&] { return interrupt.raised(); };
    if (one_file) {
      check_is_there(given[0], context);
      return show(context, verify_file(given[0], options), options, "");
    }
    const StoreArgument found = store_and_rest(context, 0, 0, "");
    const OpenedStore store = open(context, found.path);
    return show(context, store.verify(options), options, found.path.string());
  }

  static void check_is_there(const std::string& path, Context& context) {
    if (is_file(path, *context.file_system)) return;
    throw Error(ErrorCode::not_found, fmt::format("{}: no such file", printable(path)));
  }

  VerifyOptions chosen_options() const {
    VerifyOptions options;
    options.level = structure_ ? VerifyLevel::structure
                    : full_    ? VerifyLevel::full
                               : VerifyLevel::stored;
    if (!subset_.empty()) {
      options.subset = parse_share(subset_);
      options.seed = seed_.empty() ? seed_of_today() : parse_seed(seed_);
    }
    if (!max_duration_.empty()) {
      options.max_duration = std::chrono::duration_cast<std::chrono::milliseconds>(
          std::chrono::nanoseconds(parse_duration_ns(max_duration_)));
    }
    return options;
  }

  // Without its file STORE there is nothing to verify, but something to repair.
  static OpenedStore open(Context& context, const std::filesystem::path& path) {
    try {
      return OpenedStore(context, path);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt) throw;
      throw Error(error.code(), fmt::format("{}; next: ckptool repair {} --dry-run", error.what(),
                                            shell_word(path.string())));
    }
  }

  ExitCode show(Context& context, const VerifyReport& report, const VerifyOptions& options,
                const std::string& store) {
    print(context, verify_json(report, options, store),
          verify_text(report, options, store, quiet()));
    if (!report.findings.empty()) return ExitCode::damage;
    if (!report.complete) return report.timed_out ? ExitCode::partly_done : ExitCode::interrupted;
    if (!report.newer.empty()) return ExitCode::newer_format;
    return report.denied.empty() ? ExitCode::ok : ExitCode::partly_done;
  }

  bool structure_ = false;
  bool full_ = false;
  std::string subset_, seed_, max_duration_;
};

}  // namespace

std::unique_ptr<Command> make_verify() { return std::make_unique<Verify>(); }

}  // namespace ckp::tool
