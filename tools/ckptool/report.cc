// ckptool report: a page about a store, for a browser.
#include <fmt/format.h>

#include "ckp/clock.h"
#include "ckp/durable_write.h"
#include "command.h"
#include "render.h"
#include "report_data.h"
#include "report_page.h"

namespace ckp::tool {
namespace {

bool is_report_file(const std::string& path, FileSystem& fs) {
  std::string beginning(report_page_beginning, '\0');
  const auto file = fs.open(path, OpenMode::read);
  beginning.resize(file->read_at(0, std::as_writable_bytes(std::span(beginning))));
  return is_report_page(beginning);
}

class Report : public Command {
 public:
  Report()
      : Command("report", "Write a page for a browser: runs, curves, parameters, storage, aliases",
                "ckptool report ./store\n"
                "ckptool report ./store --output sweep.html") {}

 private:
  void declare() override {
    store_positional();
    option("--output,-o", "FILE", file_, "The file to write; an older report there is replaced")
        ->capture_default_str();
    flag("--force,-f", force_, "Replace FILE also when it is something else");
  }

  ExitCode run(Context& context) override {
    const StoreArgument found = store_and_rest(context, 0, 0, "");
    const OpenedStore store(context, found.path);
    check_free(*context.file_system);
    const ReportData data = collect_report(store, found.path.string(), system_clock()->now_ns());
    const std::string page = report_page(data.json);
    write(*context.file_system, page);
    for (const std::string& line : data.unread) {
      complain(fmt::format("warning: {}; it is not in the report; run: ckptool verify {}",
                           printable(line), shell_word(store.path().string())));
    }
    print(context,
          {{"file", file_},
           {"bytes", page.size()},
           {"runs", data.runs},
           {"checkpoints", data.checkpoints},
           {"points", data.points},
           {"points_shown", data.points_shown},
           {"unread", data.unread}},
          quiet() ? "" : text_of(data, page.size()));
    return ExitCode::ok;
  }

  // The hidden sibling, which comes first, means nothing to whoever gave the name.
  void write(FileSystem& fs, const std::string& page) const {
    try {
      write_durably(fs, file_, std::as_bytes(std::span(page)));
    } catch (const Error& error) {
      throw Error(error.code(),
                  fmt::format("{}: cannot be written: {}", printable(file_), error.what()));
    }
  }

  // Asked before the work.
  void check_free(FileSystem& fs) const {
    if (file_.empty()) throw UsageError("--output: the name is empty");
    const auto folder = std::filesystem::path(file_).parent_path().string();
    if (!folder.empty() && !fs.status(folder)) {
      throw Error(ErrorCode::not_found,
                  fmt::format("{}: the folder {} does not exist; make it first: mkdir -p {}",
                              printable(file_), printable(folder), shell_word(folder)));
    }
    check_outside_stores(file_, fs);
    const auto status = fs.status(file_);
    if (!status) return;
    if (status->is_directory) {
      throw UsageError(
          fmt::format("--output {}: is a directory; expected a file", printable(file_)));
    }
    if (!std::filesystem::is_regular_file(file_)) {
      throw UsageError(
          fmt::format("--output {}: is a device or a pipe; expected a file", printable(file_)));
    }
    if (force_ || is_report_file(file_, fs)) return;
    throw Error(ErrorCode::already_exists,
                fmt::format("{}: exists already and is no report; another name, or --force to "
                            "replace it",
                            printable(file_)));
  }

  std::string text_of(const ReportData& data, std::uint64_t size) const {
    std::string text =
        fmt::format("wrote {}: {}, {}, {}", printable(file_), counted(data.runs, "run"),
                    counted(data.checkpoints, "checkpoint"), human_size(size));
    if (data.points > data.points_shown) {
      text += fmt::format("; {} of {} metric points: least and greatest of neighbours",
                          grouped(data.points_shown), grouped(data.points));
    }
    return text + "\n";
  }

  std::string file_ = "report.html";
  bool force_ = false;
};

}  // namespace

std::unique_ptr<Command> make_report() { return std::make_unique<Report>(); }

}  // namespace ckp::tool
