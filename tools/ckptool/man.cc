#include "man.h"

#include <fmt/format.h>

namespace ckp::tool {
namespace {

// Text that roff takes literally: backslashes, hyphens that must stay hyphens, control lines.
std::string roff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_start = c == '\n';
  }
  return out;
}

void add_option(std::string& page, const CLI::Option& option) {
  const std::string name = option.get_name(option.get_positional(), true);
  if (option.get_group().empty()) return;
  const std::string type = option.get_type_name();
  const bool takes_value = option.get_items_expected_max() > 0 && !option.get_positional();
  page += fmt::format(".TP\n\\fB{}\\fR", roff(name));
  if (takes_value && !type.empty()) page += fmt::format(" \\fI{}\\fR", roff(type));
  page += "\n" + roff(option.get_description()) + "\n";
}

std::string synopsis(const CLI::App& command) {
  std::string text = command.get_name();
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) continue;
    const bool many = option->get_items_expected_max() > 1;
    text += fmt::format(" [{}{}]", option->get_name(true), many ? "..." : "");
  }
  return text;
}

void add_command(std::string& page, const CLI::App& command) {
  page += fmt::format(".SS {}\n{}\n", roff(synopsis(command)), roff(command.get_description()));
  for (const bool positional : {true, false}) {
    for (const CLI::Option* option : command.get_options()) {
      const bool help = option->check_lname("help");
      if (!help && option->get_positional() == positional) add_option(page, *option);
    }
  }
  page += ".PP\n.EX\n" + roff(command.get_footer()) + ".EE\n";
}

constexpr const char* address_section = R"(.SH ADDRESSES
A checkpoint is named by RUN[@WHICH] or @ALIAS. RUN is a name or the beginning of an id. WHICH is
.BR latest ,
.BR final ,
.BR N " or " epoch:N
(the last checkpoint with N epochs completed),
.BR step:N ,
.BR best[:METRIC[:min|max]] ,
or the beginning of the checkpoint's id (six digits at least).
)";

constexpr const char* ending = R"(.SH EXIT STATUS
.TS
lb l.
0	success
1	error
2	the command line makes no sense
3	partly done: verify ran out of time or may not read a file, repair could not restore everything, or must be run again
4	damage found
10	no store
11	somebody else holds what is needed
12	written by a newer version
130	interrupted
.TE
With \-\-json an error is also the document {"error": {"code", "message"}} on standard output.
.SH ENVIRONMENT
.TP
\fBCKPSTORE\fR
The store, when neither the first argument nor \-\-store names one.
)";

}  // namespace

std::string manual_page(const CLI::App& program, const std::string& version) {
  std::string page =
      fmt::format("'\\\" t\n.TH CKPTOOL 1 \"\" \"ckpstore {}\" \"User Commands\"\n", roff(version));
  // Ragged lines without hyphens: names of options must not be broken.
  page += ".nh\n.ad l\n";
  page += ".SH NAME\nckptool \\- " + roff(program.get_description()) + "\n";
  page += ".SH SYNOPSIS\n.B ckptool\n\\fICOMMAND\\fR [\\fISTORE\\fR] [\\fIARGUMENT\\fR...]\n";
  page += address_section;
  page += ".SH COMMANDS\n";
  for (const CLI::App* command : program.get_subcommands([](const CLI::App*) { return true; })) {
    add_command(page, *command);
  }
  page += ending;
  return page;
}

}  // namespace ckp::tool
