#include "common/acknowledge.h"

#include <span>
#include <string>

#include "ckp/file_system.h"

namespace example {

void acknowledge(const std::filesystem::path& directory, const ckp::SaveReport& report) {
  const std::string line = report.checkpoint.id.hex() + "\n";
  const auto system = ckp::posix_file_system();
  const auto file = system->open(directory / ("acked-" + std::to_string(report.checkpoint.step)),
                                 ckp::OpenMode::create);
  file->write_at(0, std::as_bytes(std::span(line)));
  file->sync();
  system->sync_directory(directory);
}

}  // namespace example
