#include "completion_script.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "render.h"

namespace ckp::tool {
namespace {

struct CommandWords {
  std::string name, summary;
  std::vector<std::string> options, with_value;
  bool names_runs = false;  // behind STORE
};

bool is_word_for_names(const std::string& positional) {
  return positional == "RUN" || positional == "ADDRESS" || positional == "ALIAS" ||
         positional.starts_with("ADDRESS-");
}

CommandWords words_of(const CLI::App& command) {
  CommandWords words;
  words.name = command.get_name();
  words.summary = command.get_description();
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_group().empty()) continue;
    if (option->get_positional()) {
      words.names_runs = words.names_runs || is_word_for_names(option->get_name(true));
      continue;
    }
    const bool takes_value = option->get_items_expected_max() > 0;
    const auto add = [&](const std::string& dashes, const std::vector<std::string>& names) {
      for (const std::string& name : names) {
        words.options.push_back(dashes + name);
        if (takes_value) words.with_value.push_back(dashes + name);
      }
    };
    add("--", option->get_lnames());
    add("-", option->get_snames());
  }
  return words;
}

std::vector<CommandWords> commands_of(const CLI::App& program) {
  std::vector<CommandWords> commands;
  for (const CLI::App* one : program.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(words_of(*one));
  }
  return commands;
}

// "    ls) options='--all --json' ;;", a line for each command.
std::string cases_of(const std::vector<CommandWords>& commands, const char* variable,
                     std::vector<std::string> CommandWords::*words) {
  std::string text;
  for (const CommandWords& command : commands) {
    text += fmt::format("    {}) {}='{}' ;;\n", command.name, variable, join(command.*words, " "));
  }
  text.pop_back();  // the script has the line's end
  return text;
}

std::string pattern_of_named(const std::vector<CommandWords>& commands) {
  std::vector<std::string> names;
  for (const CommandWords& command : commands) {
    if (command.names_runs) names.push_back(command.name);
  }
  return join(names, "|");
}

void replace_all(std::string& text, std::string_view from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// The parts that the program knows, put into a script.
std::string filled_in(std::string script, const std::vector<CommandWords>& commands) {
  replace_all(script, "@OPTIONS@", cases_of(commands, "options", &CommandWords::options));
  replace_all(script, "@WITH_VALUE@", cases_of(commands, "valued", &CommandWords::with_value));
  replace_all(script, "@NAMED@", pattern_of_named(commands));
  return script;
}

constexpr const char* bash_script =
    R"script(# bash completion for ckptool. Made by: ckptool completion bash
_ckptool() {
  local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
  local command= store= options= valued= word previous= i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; ++i)); do
    word=${COMP_WORDS[i]}
    if [[ -z $command ]]; then
      [[ $word == -* ]] || command=$word
      case $command in
@WITH_VALUE@
      esac
    elif [[ $previous == --store ]]; then
      store=$word
    elif [[ $word != -* && " $valued " != *" $previous "* && -z $store ]]; then
      store=$word
    fi
    previous=$word
  done
  case $command in
@OPTIONS@
  esac
  if [[ -z $command ]]; then
    COMPREPLY=($(compgen -W '@COMMANDS@ --help --version' -- "$cur"))
    return
  elif [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
    return
  elif [[ $command == completion ]]; then
    COMPREPLY=($(compgen -W 'bash zsh' -- "$cur"))
    return
  fi
  local at= name
  local -a names
  if [[ $cur == @ || $before == @ ]]; then  # @ALIAS: bash takes the @ for a word
    at=@
    [[ $cur == @ ]] && cur=
  elif [[ " $valued " == *" $before "* && $before != --run ]]; then
    return
  elif [[ -z $store ]]; then
    mapfile -t COMPREPLY < <(compgen -d -- "$cur")
  fi
  case $command in
    @NAMED@|rm|policy) ;;
    *) return ;;
  esac
  mapfile -t names < <(timeout 2 "${COMP_WORDS[0]}" completion --names ${store:+"$store"} \
    2> /dev/null < /dev/null)
  for name in "${names[@]}"; do
    if [[ $name == @* ]]; then
      [[ $at$cur == @* && $name == "@${cur#@}"* ]] && COMPREPLY+=("${name#"$at"}")
      [[ -z $at$cur ]] && COMPREPLY+=("$name")
    elif [[ -z $at && $name == "$cur"* ]]; then
      COMPREPLY+=("$(printf %q "$name")")
    fi
  done
  return 0
}
complete -o default -F _ckptool ckptool
)script";

constexpr const char* zsh_script = R"script(#compdef ckptool
# zsh completion for ckptool. Made by: ckptool completion zsh
_ckptool() {
  local command= store= options= valued= word previous= i
  local -a names commands
  for ((i = 2; i < CURRENT; ++i)); do
    word=${words[i]}
    if [[ -z $command ]]; then
      [[ $word == -* ]] || command=$word
      case $command in
@WITH_VALUE@
      esac
    elif [[ $previous == --store ]]; then
      store=$word
    elif [[ $word != -* && " $valued " != *" $previous "* && -z $store ]]; then
      store=$word
    fi
    previous=$word
  done
  case $command in
@OPTIONS@
  esac
  if [[ -z $command ]]; then
    commands=(
@DESCRIBED@
    )
    _describe command commands
    return
  elif [[ ${words[CURRENT]} == -* ]]; then
    compadd -- ${=options}
    return
  elif [[ $command == completion ]]; then
    compadd -- bash zsh
    return
  elif [[ " $valued " == *" $previous "* && $previous != --run ]]; then
    _files
    return
  fi
  case $command in
    @NAMED@|rm|policy)
      names=(${(f)"$(timeout 2 ${words[1]} completion --names ${store:+"$store"} \
        2> /dev/null < /dev/null)"})
      compadd -a names
      ;;
  esac
  _files
}
if [[ ${funcstack[1]} == _ckptool ]]; then
  _ckptool "$@"
else
  compdef _ckptool ckptool
fi
)script";

}  // namespace

std::string bash_completion(const CLI::App& program) {
  const auto commands = commands_of(program);
  std::vector<std::string> names;
  for (const CommandWords& command : commands) names.push_back(command.name);
  std::string script = filled_in(bash_script, commands);
  replace_all(script, "@COMMANDS@", join(names, " "));
  return script;
}

std::string zsh_completion(const CLI::App& program) {
  const auto commands = commands_of(program);
  std::string described;
  for (const CommandWords& command : commands) {
    std::string summary = command.summary;
    replace_all(summary, "'", "'\\''");
    replace_all(summary, ":", "\\:");
    described += fmt::format("      '{}:{}'\n", command.name, summary);
  }
  described.pop_back();
  std::string script = filled_in(zsh_script, commands);
  replace_all(script, "@DESCRIBED@", described);
  return script;
}

}  // namespace ckp::tool
