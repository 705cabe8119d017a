// Options stand before the first query, as with other programs that hand arguments on: what comes
// after it may begin with a dash, as a negative number does.
#include "pg_live/options.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace pg_live {

namespace {

struct OptionName {
  char letter;  // 0 where there is none
  std::string_view name;
  bool takes_value;
};

constexpr std::array kOptionNames = std::to_array<OptionName>({
    {'h', "host", true},       {'p', "port", true},         {'U', "username", true},
    {'d', "dbname", true},     {'w', "no-password", false}, {'W', "password", false},
    {'?', "help", false},      {'V', "version", false},     {0, "json", false},
    {0, "changes", false},     {0, "table-once", false},    {0, "list", false},
    {0, "exec", true},         {0, "count", true},          {0, "for", true},
    {0, "until-empty", false}, {0, "heartbeat", true},      {0, "answer", true},
    {0, "long-answer", true},  {0, "first-wait", true},     {0, "longest-wait", true},
});

std::string Quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

void SetMode(Options* options, Mode mode) {
  if (options->mode && *options->mode != mode)
    throw UsageError("--json, --changes, --table-once, --exec and --list exclude each other");
  options->mode = mode;
}

size_t ParseCount(const std::string& text) {
  size_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count == 0)
    throw UsageError("--count takes a number above 0, not " + Quoted(text));
  return count;
}

std::chrono::milliseconds ParseTime(std::string_view name, const std::string& value) {
  const auto time = ParseDuration(value);
  if (!time)
    throw UsageError("--" + std::string(name) +
                     " takes a time such as 500ms, 10s, 5min or 1h, not " + Quoted(value));
  return *time;
}

// Where the times of a connection are kept; null for other names.
std::chrono::milliseconds* TimeOf(Times* times, std::string_view name) {
  if (name == "heartbeat") return &times->heartbeat;
  if (name == "answer") return &times->answer;
  if (name == "long-answer") return &times->long_answer;
  if (name == "first-wait") return &times->first_wait;
  if (name == "longest-wait") return &times->longest_wait;
  return nullptr;
}

// Takes over options with a value.
void SetValue(Options* options, std::string_view name, const std::string& value) {
  if (name == "host") {
    options->host = value;
  } else if (name == "port") {
    options->port = value;
  } else if (name == "username") {
    options->user = value;
  } else if (name == "dbname") {
    options->database = value;
  } else if (name == "exec") {
    SetMode(options, Mode::kExec);
    options->command = value;
  } else if (name == "count") {
    options->count = ParseCount(value);
  } else if (name == "for") {
    options->time = ParseTime(name, value);
  } else if (std::chrono::milliseconds* time = TimeOf(&options->times, name)) {
    *time = ParseTime(name, value);
    if (*time <= std::chrono::milliseconds::zero())
      throw UsageError("--" + std::string(name) + " takes a time above 0");
  }
}

void SetFlag(Options* options, std::string_view name) {
  if (name == "no-password") options->never_ask_password = true;
  if (name == "password") options->ask_password = true;
  if (name == "help") options->help = true;
  if (name == "version") options->version = true;
  if (name == "json") SetMode(options, Mode::kJson);
  if (name == "changes") SetMode(options, Mode::kChanges);
  if (name == "table-once") SetMode(options, Mode::kTableOnce);
  if (name == "list") SetMode(options, Mode::kList);
  if (name == "until-empty") options->until_empty = true;
}

const OptionName* FindLong(std::string_view name) {
  const auto found = std::find_if(kOptionNames.begin(), kOptionNames.end(),
                                  [&](const OptionName& option) { return option.name == name; });
  return found == kOptionNames.end() ? nullptr : &*found;
}

const OptionName* FindLetter(char letter) {
  const auto found =
      std::find_if(kOptionNames.begin(), kOptionNames.end(),
                   [&](const OptionName& option) { return option.letter == letter; });
  return letter == 0 || found == kOptionNames.end() ? nullptr : &*found;
}

using Arguments = std::vector<std::string>;

// Returns the place of the first argument that is no option.
size_t ParseLeadingOptions(const Arguments& arguments, Options* options) {
  size_t at = 0;
  const auto next_argument = [&](const std::string& option) {
    if (++at >= arguments.size()) throw UsageError(option + " needs a value");
    return arguments[at];
  };
  for (; at < arguments.size(); ++at) {
    const std::string& argument = arguments[at];
    if (argument == "--") return at + 1;
    if (argument.size() < 2 || argument[0] != '-') return at;
    if (argument[1] == '-') {
      const size_t equals = argument.find('=');
      const std::string name = argument.substr(2, equals - 2);
      const OptionName* option = FindLong(name);
      if (option == nullptr) throw UsageError("there is no option " + Quoted(argument));
      if (!option->takes_value && equals != std::string::npos)
        throw UsageError("--" + name + " takes no value");
      if (option->takes_value)
        SetValue(
            options, name,
            equals == std::string::npos ? next_argument("--" + name) : argument.substr(equals + 1));
      else
        SetFlag(options, name);
      continue;
    }
    for (size_t letter = 1; letter < argument.size(); ++letter) {
      const OptionName* option = FindLetter(argument[letter]);
      if (option == nullptr) throw UsageError("there is no option " + Quoted(argument));
      if (option->takes_value) {
        const std::string rest = argument.substr(letter + 1);
        SetValue(options, option->name,
                 rest.empty() ? next_argument(argument.substr(0, letter + 1)) : rest);
        break;
      }
      SetFlag(options, option->name);
    }
  }
  return at;
}

void ParseQueries(const Arguments& arguments, size_t at, Options* options) {
  bool begins = true;
  for (; at < arguments.size(); ++at) {
    const std::string& argument = arguments[at];
    if (argument == "--") {
      if (begins) throw UsageError("a query is missing beside --");
      begins = true;
      continue;
    }
    if (begins)
      options->queries.push_back({argument, {}});
    else
      options->queries.back().params.push_back(argument);
    begins = false;
    if (argument.starts_with("--") && FindLong(argument.substr(2, argument.find('=') - 2)))
      throw UsageError(Quoted(argument) + ": options stand before the query");
  }
  if (begins && !options->queries.empty()) throw UsageError("a query is missing after --");
}

}  // namespace

std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  constexpr double kLongest = 1e9;  // seconds
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !(value >= 0)) return std::nullopt;
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (unit == "ms")
    value /= 1000;
  else if (unit == "min" || unit == "m")
    value *= 60;
  else if (unit == "h")
    value *= 3600;
  else if (unit != "s" && !unit.empty())
    return std::nullopt;
  if (value > kLongest) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::duration<double>(value));
}

Options ParseOptions(const std::vector<std::string>& arguments) {
  Options options;
  const size_t at = ParseLeadingOptions(arguments, &options);
  ParseQueries(arguments, at, &options);
  if (options.help || options.version) return options;
  if (options.ask_password && options.never_ask_password)
    throw UsageError("-w and -W exclude each other");
  if (options.mode == Mode::kList) {
    if (!options.queries.empty() || options.count || options.until_empty)
      throw UsageError("--list takes no query, and no --count or --until-empty");
    return options;
  }
  if (options.queries.empty()) throw UsageError("a query is missing");
  if (options.mode == Mode::kTableOnce && (options.count || options.until_empty))
    throw UsageError("--table-once ends by itself: it takes no --count or --until-empty");
  return options;
}

std::string_view Usage() {
  return R"(pg_live shows the result of a query, and keeps it up to date.

  pg_live [OPTION]... QUERY [PARAM]... [-- QUERY [PARAM]...]...
  pg_live [OPTION]... --list

PARAM are the values of $1, $2, ... in the query before them. Options stand before the first query.
On a terminal the results are drawn, and ? tells the keys. Elsewhere there is JSON.

Connection, as with psql; the PG* environment variables count too:
  -h, --host=HOST          -U, --username=NAME
  -p, --port=PORT          -d, --dbname=NAME    a name, a connection string or a URI
  -w, --no-password        never ask for a password
  -W, --password           ask for a password

What is shown:
  --json                   one message on each line
  --changes                one row on each line: = is there, + enters, ~ changes, - leaves
  --table-once             the first result as a table, and no more
  --exec=COMMAND           runs COMMAND by the shell for each message, the JSON on its input

  --list                   who watches what: the live queries of the server, as top shows processes

When it ends:
  --count=N                after N messages (with --changes: N changes)
  --for=TIME               after a time: 500ms, 10s, 5min, 1h
  --until-empty            once no row is left in any of the results

How long it waits, as docs/client.md of live_queries says:
  --heartbeat=TIME         after so much silence it asks whether the server is there: 15s
  --answer=TIME            a connection whose server does not answer for so long is lost: 10s
  --long-answer=TIME       the same for what may take long, such as reading a first result: 120s
  --first-wait=TIME        the longest wait before the first try to connect again: 1s
  --longest-wait=TIME      and before a later one: 30s

  -?, --help               this text
  -V, --version

Exit status: 0 it ended as asked, 1 wrong arguments or output, 2 no connection, 3 the server
refused the query or is not set up for it, 4 the server ended the live queries, 5 --for was over
before --count or --until-empty, 6 COMMAND failed, 128 + n signal n.
)";
}

}  // namespace pg_live
