#include "stats_report.h"

namespace ckp::tool {
namespace {

Json needed_json(const NeededBytes& needed) {
  return {{"checkpoints", needed.checkpoints}, {"raw", needed.raw},
          {"shared", needed.shared},           {"derived", needed.derived},
          {"chunks", needed.chunks},           {"filler", needed.filler},
          {"patches", needed.patches},         {"compressed", needed.compressed},
          {"missing", needed.missing},         {"stored", needed.stored}};
}

Json disk_json(const DiskBytes& disk) {
  return {{"payload", disk.payload},
          {"manifests", disk.manifests},
          {"headers", disk.headers},
          {"padding", disk.padding},
          {"journals", disk.journals},
          {"garbage", disk.garbage},
          {"trash", disk.trash},
          {"dead", disk.dead},
          {"in_progress", disk.in_progress},
          {"unreadable", disk.unreadable},
          {"other", disk.other},
          {"total", disk.total()}};
}

}  // namespace

Json to_json(const StoreStats& stats) {
  Json runs = Json::array();
  for (const RunStats& run : stats.runs) {
    runs.push_back({{"name", run.name},
                    {"id", run.id.hex()},
                    {"directory", run.directory},
                    {"needed", needed_json(run.needed)},
                    {"disk", disk_json(run.disk)}});
  }
  Json unread = Json::array();
  for (const UnreadPart& part : stats.unread) {
    unread.push_back({{"path", part.path},
                      {"run", part.run},
                      {"code", std::string(to_string(part.code))},
                      {"message", part.message}});
  }
  return {{"runs", runs},
          {"needed", needed_json(stats.needed)},
          {"disk", disk_json(stats.disk)},
          {"index", stats.index},
          {"set_aside", stats.set_aside},
          {"total", stats.total()},
          {"unread", unread}};
}

}  // namespace ckp::tool
