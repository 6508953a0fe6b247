#include "artifact_text.h"

#include "render.h"

namespace ckp::tool {

Json to_json(const std::vector<Artifact>& artifacts) {
  Json json = Json::array();
  for (const Artifact& each : artifacts) {
    json.push_back({{"name", each.name}, {"size", each.size}, {"xxh3_128", each.digest.hex()}});
  }
  return json;
}

std::string artifacts_table(const std::vector<Artifact>& artifacts) {
  if (artifacts.empty()) return "";
  Table table({{"ARTIFACT"}, {"SIZE", Table::Align::right}, {"XXH3-128"}});
  for (const Artifact& each : artifacts) {
    table.add({printable(each.name), human_size(each.size), each.digest.hex()});
  }
  return table.text();
}

}  // namespace ckp::tool
