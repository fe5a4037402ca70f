// The gort command.
#include <exception>
#include <iostream>
#include <string>

#include <CLI/CLI.hpp>

#include "convert.hpp"
#include "lab.hpp"
#include "process.hpp"

int main(int argc, char** argv) try {
  CLI::App app{"gort: goroutines for C++20"};
  app.set_version_flag("--version", "gort " GORT_VERSION);
  app.require_subcommand(1);

  CLI::App* lab = app.add_subcommand("lab", "Run the guide's exercises and measure them");
  lab->require_subcommand(1);
  lab->footer(
      "Exit status: 0 met or small here (less to win than the target asks for), 1 NOT met, 2 a "
      "program failed, 77 SKIPPED: the machine lacks what it "
      "needs.");
  tool::lab_options options;
  std::string programs;
  const auto add_options = [&](CLI::App* to) {
    to->add_option("--rounds", options.rounds, "How often each program runs, in turn")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    to->add_option("--wait", options.wait_seconds,
                   "Seconds at most to wait for the machine to go quiet, before each exercise")
        ->check(CLI::Range(0, 3600))
        ->capture_default_str();
    to->add_option("--programs", programs, "Where the programs are; default: next to gort")
        ->check(CLI::ExistingDirectory);
  };

  const CLI::App* list = lab->add_subcommand("list", "What there is");
  CLI::App* run = lab->add_subcommand("run", "Run one: its programs in turn, before and after");
  int number = 0;
  run->add_option("N", number, "Its number in the guide")->required();
  add_options(run);
  CLI::App* table = lab->add_subcommand("table", "Run all that exist; ends with a table");
  table->alias("demo");
  bool strict = false;
  table->add_flag("--strict", strict,
                  "Let the exit status tell NOT met (1) and SKIPPED (77); without it only failed "
                  "programs (2) count");
  add_options(table);

  CLI::App* trace = app.add_subcommand("trace", "Execution traces");
  trace->require_subcommand(1);
  CLI::App* convert = trace->add_subcommand(
      "convert", "From Go's format to Perfetto's, for https://ui.perfetto.dev");
  std::string from, to;
  convert->add_option("IN", from, "The trace; - is standard input")->required();
  convert->add_option("OUT", to, "Where to; - is standard output")->required();

  CLI11_PARSE(app, argc, argv);
  if (convert->parsed()) return tool::convert_trace(from, to);
  options.programs = programs.empty() ? tool::own_folder() : std::filesystem::path(programs);
  if (list->parsed()) return tool::lab_list();
  if (run->parsed()) return tool::lab_run(number, options);
  return tool::lab_table(options, strict);
} catch (const std::exception& error) {
  std::cerr << "gort: " << error.what() << '\n';
  return tool::status_failed;
}
