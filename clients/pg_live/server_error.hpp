// An error that the server has raised. Pure.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace pg_live {

// The server has refused a command.
struct ServerError : std::runtime_error {
  ServerError(const std::string& message, std::string state, std::string more, std::string cure)
      : std::runtime_error(message),
        sqlstate(std::move(state)),
        detail(std::move(more)),
        hint(std::move(cure)) {}

  std::string sqlstate;
  std::string detail;
  std::string hint;
};

}  // namespace pg_live
