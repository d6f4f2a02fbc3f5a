// The terminal side of the shell: libedit with history and completion. The only file that knows libedit.
#include <cerrno>
#include <clocale>
#include <cstdio>

#include <fmt/format.h>
#include <histedit.h>
#include <sys/stat.h>

#include "actors/cli/shell/shell.hpp"

namespace gnomon::actors::cli {
namespace {
constexpr std::size_t listed_max = 200; // candidates shown at once

class editor final : public line_source {
public:
  editor(name_lookup names, std::string path) : names_(std::move(names)), path_(std::move(path)) {
    std::setlocale(LC_CTYPE, "");
    edit_ = el_init("gnomon", stdin, stdout, stderr);
    history_ = history_init();
    if (edit_ == nullptr || history_ == nullptr)
      return;
    HistEvent event;
    history(history_, &event, H_SETSIZE, history_lines_max);
    history(history_, &event, H_SETUNIQUE, 1);
    if (!path_.empty())
      history(history_, &event, H_LOAD, path_.c_str());
    el_set(edit_, EL_CLIENTDATA, this);
    el_set(
        edit_, EL_PROMPT, +[](EditLine*) { return const_cast<char*>("gnomon> "); });
    el_set(edit_, EL_EDITOR, "emacs");
    el_set(edit_, EL_HIST, history, history_);
    el_set(
        edit_, EL_ADDFN, "gnomon-complete", "complete a word", +[](EditLine* edit, int key) -> unsigned char {
          void* mine = nullptr;
          el_get(edit, EL_CLIENTDATA, &mine);
          return static_cast<editor*>(mine)->complete_here(key);
        });
    el_set(edit_, EL_BIND, "^I", "gnomon-complete", nullptr);
    el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  }
  ~editor() override {
    if (history_ != nullptr)
      history_end(history_);
    if (edit_ != nullptr)
      el_end(edit_);
  }
  editor(const editor&) = delete;

  std::optional<std::string> next() override {
    if (edit_ == nullptr || history_ == nullptr)
      return std::nullopt;
    interruption ctrl_c; // throws the line away
    int count = 0;
    errno = 0;
    const char* text = el_gets(edit_, &count);
    if (text == nullptr || count <= 0) {
      std::fputc('\n', stdout);
      std::fflush(stdout);
      if (interruption::requested() && !interruption::terminated())
        return std::string();
      return std::nullopt;
    }
    std::string line(text, static_cast<std::size_t>(count));
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r'))
      line.pop_back();
    if (!line.empty() && line.front() != ' ')
      remember(line);
    return line;
  }
  bool interactive() const override { return true; }

private:
  void remember(const std::string& line) {
    HistEvent event;
    history(history_, &event, H_ENTER, line.c_str());
    if (path_.empty())
      return;
    const auto before = ::umask(077); // what is typed is nobody else's business
    history(history_, &event, H_SAVE, path_.c_str());
    ::umask(before);
  }

  unsigned char complete_here(int key) {
    const LineInfo* line = el_line(edit_);
    const std::string left(line->buffer, static_cast<std::size_t>(line->cursor - line->buffer));
    const auto begin = left.find_last_of(" \t") + 1; // npos + 1 == 0
    const auto before = split_words(left.substr(0, begin));
    if (!before)
      return CC_ERROR;
    const auto partial = left.substr(begin);
    const auto found = complete(*before, partial, names_);
    if (found.is_path)
      return _el_fn_complete(edit_, key);
    if (found.candidates.empty())
      return CC_ERROR;
    auto more = common_prefix(found.candidates).substr(partial.size());
    if (found.candidates.size() == 1)
      more += ' ';
    if (!more.empty())
      return el_insertstr(edit_, more.c_str()) == -1 ? CC_ERROR : CC_REFRESH;
    std::fputc('\n', stdout);
    for (std::size_t i = 0; i < std::min(found.candidates.size(), listed_max); ++i)
      fmt::print("{}{}", i == 0 ? "" : "  ", found.candidates[i]);
    fmt::print("{}\n", found.candidates.size() > listed_max ? "  …" : "");
    std::fflush(stdout);
    return CC_REDISPLAY;
  }

  name_lookup names_;
  std::string path_;
  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
};

} // namespace

std::unique_ptr<line_source> edited_lines(name_lookup names, std::string history_path) {
  return std::make_unique<editor>(std::move(names), std::move(history_path));
}

} // namespace gnomon::actors::cli
