# cmake -DOUTPUT=FILE.cc -DFOLDER=DIR -DCHART_JS=FILE -P embed.cmake: a C++ source with the bytes of the
# page's files, which ckp::tool::report_asset finds by their names, Chart.js by that of chart.js.
file(GLOB files ${FOLDER}/*.html ${FOLDER}/*.css ${FOLDER}/*.js)
set(arrays "")
set(table "")
set(number 0)
foreach(file IN LISTS files CHART_JS)
  get_filename_component(name "${file}" NAME)
  if(file STREQUAL CHART_JS)
    set(name chart.js)
  endif()
  file(READ "${file}" bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char asset_${number}[] = {${bytes}};\n")
  string(APPEND table "    {\"${name}\", {reinterpret_cast<const char*>(asset_${number}), sizeof(asset_${number})}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUTPUT}.new" "// Made by report/embed.cmake.
#include \"report_page.h\"

#include <stdexcept>

namespace ckp::tool {
namespace {

${arrays}
struct Asset {
  std::string_view name, bytes;
};
const Asset report_assets[] = {
${table}};

}  // namespace

std::string_view report_asset(std::string_view name) {
  for (const Asset& asset : report_assets) {
    if (asset.name == name) return asset.bytes;
  }
  throw std::logic_error(\"page.html asks for \" + std::string(name));
}

}  // namespace ckp::tool
")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
