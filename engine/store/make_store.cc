#include "store/make_store.h"

#include <fmt/format.h>

#include "ckp/error.h"
#include "ckp/format/store_identity.h"
#include "ckp/shell_word.h"
#include "io/durable_file.h"
#include "io/host.h"
#include "store/reserve.h"
#include "store/run_scan.h"

namespace ckp {

std::string lost_identity(const StoreLayout& layout) {
  return fmt::format(
      "{}: the file STORE is missing, but the rest of a store is there; run: ckptool repair {}",
      layout.root.string(), shell_word(layout.root.string()));
}

void check_place(FileSystem& fs, const StoreLayout& layout) {
  if (fs.status(layout.runs()) && !list_run_directories(fs, layout).empty()) {
    if (!fs.status(layout.identity())) {
      throw Error(ErrorCode::invalid_argument, lost_identity(layout));
    }
    throw Error(ErrorCode::already_exists,  // somebody was faster
                fmt::format("{}: there is a store already", layout.root.string()));
  }
  for (const std::string& name : fs.list(layout.root)) {
    if (name == "runs" || name == "lock" || name == "reserve" || name.starts_with("STORE") ||
        name.starts_with(".STORE.")) {
      continue;
    }
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}: the directory has other things in it ({}); choose an empty or new "
                            "one for a store",
                            layout.root.string(), name));
  }
}

void write_store(FileSystem& fs, const StoreLayout& layout, Clock& clock) {
  fs.make_directory(layout.runs());
  fs.open(layout.lock(), OpenMode::create)->close();
  make_reserve(fs, layout);
  format::StoreIdentity identity;
  identity.uuid = random_uuid();
  identity.created_ns = clock.now_ns();
  fs.sync_directory(layout.root);  // N2
  // N3: STORE comes last and atomically: a directory with it is a store.
  write_durably(fs, layout.identity(), false,
                [&](FileAppender& file) { file.append(format::encode_store_identity(identity)); });
}

}  // namespace ckp
