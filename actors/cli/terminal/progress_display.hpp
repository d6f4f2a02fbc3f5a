// One line on standard error that is drawn over while a verb works, where that is a terminal; else nothing. Lives as
// long as the work; main thread.
#pragma once

#include "actors/cli/terminal/terminal.hpp"

namespace gnomon::actors::cli {

class progress_display {
public:
  explicit progress_display(streams& io) : io_(io) {}
  ~progress_display() { clear(); }
  progress_display(const progress_display&) = delete;
  void show(const std::string& line) {
    if (!io_.err_is_terminal)
      return;
    io_.err << "\r" << line << "\033[K" << std::flush;
    shown_ = true;
  }
  void clear() {
    if (shown_)
      io_.err << "\r\033[K" << std::flush;
    shown_ = false;
  }

private:
  streams& io_;
  bool shown_ = false;
};

} // namespace gnomon::actors::cli
