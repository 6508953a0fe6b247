#include "trash_report.h"

#include "render.h"

namespace ckp::tool {

Json to_json(const std::vector<TrashedCheckpoint>& trash) {
  Json all = Json::array();
  for (const TrashedCheckpoint& one : trash) {
    Json json = to_json(one.checkpoint);
    if (one.checkpoint.epoch < 0) json["epoch"] = nullptr;
    json["trash_until"] = iso_time(one.until_ns);
    json["bytes"] = one.bytes;
    all.push_back(std::move(json));
  }
  return all;
}

std::string trash_table(const std::vector<TrashedCheckpoint>& trash) {
  if (trash.empty()) return "nothing in the trash\n";
  Table table({{"RUN"},
               {"CHECKPOINT"},
               {"EPOCH", Table::Align::right},
               {"STEP", Table::Align::right},
               {"SIZE", Table::Align::right},
               {"UNTIL"}});
  for (const TrashedCheckpoint& one : trash) {
    const bool readable = one.checkpoint.epoch >= 0;
    table.add({printable(one.run), short_id(one.checkpoint.id),
               readable ? std::to_string(one.checkpoint.epoch) : "cannot be read",
               std::to_string(one.checkpoint.step), human_size(one.bytes),
               local_time(one.until_ns)});
  }
  return table.text();
}

}  // namespace ckp::tool
