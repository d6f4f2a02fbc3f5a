#include "config/json.hpp"

#include <iterator>
#include <unordered_set>
#include <vector>

#include <fmt/format.h>

#include "config/text.hpp"

namespace gnomon {
namespace {

constexpr std::size_t error_length_max = 300; // the lexer quotes the whole token it stopped in

// Walks the text for nlohmann's lexer and tells how far it has read, which its SAX interface does not.
class tracking_iterator {
public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  tracking_iterator() = default;
  tracking_iterator(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  tracking_iterator& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  tracking_iterator operator++(int) {
    auto before = *this;
    ++*this;
    return before;
  }
  bool operator==(const tracking_iterator& other) const { return at_ == other.at_; }

private:
  const char* at_ = nullptr;
  const char** reached_ = nullptr;
};

std::string at_line_and_column(std::string_view text, std::size_t offset, std::string_view what) {
  std::size_t line = 1, line_start = 0;
  for (std::size_t i = 0; i < offset && i < text.size(); ++i) {
    if (text[i] != '\n')
      continue;
    ++line;
    line_start = i + 1;
  }
  return fmt::format("line {}, column {}: {}", line, offset - line_start + 1, what);
}

// Where the string token that ends before `end` (just after its closing quote) begins.
std::size_t string_token_start(std::string_view text, std::size_t end) {
  if (end < 2)
    return 0;
  for (std::size_t i = end - 1; i-- > 0;) {
    if (text[i] != '"')
      continue;
    std::size_t backslashes = 0;
    while (backslashes < i && text[i - 1 - backslashes] == '\\')
      ++backslashes;
    if (backslashes % 2 == 0)
      return i;
  }
  return 0;
}

// Builds the document from nlohmann's events and refuses what its own builder would let through.
class strict_builder final : public nlohmann::json_sax<json> {
public:
  strict_builder(std::string_view text, const char* const* reached, json_limits limits)
      : text_(text), reached_(reached), limits_(limits) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return refuse(offset(), "binary values are not JSON"); }

  bool start_object(std::size_t) override { return open(json::value_t::object); }
  bool start_array(std::size_t) override { return open(json::value_t::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    auto& here = open_.back();
    if (!here.keys.insert(value).second)
      return refuse(string_token_start(text_, offset()), "the key '" + value + "' appears twice");
    here.next_key = std::move(value);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const json::exception& problem) override {
    // nlohmann counts from 1 and stops on the last character it read.
    const auto at = position == 0 ? 0 : position - 1;
    if (at < text_.size() && text_[at] == '/')
      return refuse(at, "comments are not JSON");
    return refuse(at, without_prefix(problem.what()));
  }

  json take_document() { return std::move(document_); }
  std::string take_error() { return std::move(error_); }

private:
  struct open_value {
    json* value;
    std::unordered_set<std::string> keys; // objects only
    std::string next_key;
  };

  std::size_t offset() const { return static_cast<std::size_t>(*reached_ - text_.data()); }

  bool refuse(std::size_t offset, std::string_view what) {
    error_ = at_line_and_column(text_, offset, printable(what, error_length_max));
    return false;
  }

  // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..." -> "syntax error ..."
  static std::string without_prefix(std::string_view what) {
    if (const auto bracket = what.find("] "); bracket != what.npos)
      what.remove_prefix(bracket + 2);
    if (what.starts_with("parse error"))
      if (const auto colon = what.find(": "); colon != what.npos)
        what.remove_prefix(colon + 2);
    return std::string(what);
  }

  // Appends to the object's storage itself: its emplace() compares with every key there is, and keys are unique here.
  template <class Value>
  json* place(Value&& value) {
    if (open_.empty()) {
      document_ = json(std::forward<Value>(value));
      return &document_;
    }
    auto& parent = open_.back();
    if (parent.value->is_array()) {
      auto& items = parent.value->get_ref<json::array_t&>();
      return &items.emplace_back(std::forward<Value>(value));
    }
    auto& members = parent.value->get_ref<json::object_t&>();
    std::vector<json::object_t::value_type>& storage = members;
    return &storage.emplace_back(std::move(parent.next_key), json(std::forward<Value>(value))).second;
  }

  template <class Value>
  bool add(Value&& value) {
    place(std::forward<Value>(value));
    return true;
  }

  bool open(json::value_t type) {
    if (open_.size() >= limits_.depth_max)
      return refuse(offset() - 1, fmt::format("more than {} levels of objects and arrays", limits_.depth_max));
    open_.push_back({place(type), {}, {}});
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  const char* const* reached_;
  json_limits limits_;
  json document_;
  std::vector<open_value> open_; // pointers stay valid: a parent gets no new child while one of its children is open
  std::string error_;
};

} // namespace

result<json> parse_json(std::string_view text, json_limits limits) {
  if (text.size() > limits.bytes_max)
    return fail(errc::limit_reached,
                fmt::format("{} bytes of JSON where at most {} are read", text.size(), limits.bytes_max));
  // nlohmann's lexer takes a NUL for the end of the input and would overlook what follows.
  if (const auto nul = text.find('\0'); nul != text.npos)
    return fail(errc::invalid_argument, at_line_and_column(text, nul, "a NUL byte"));
  try {
    const char* reached = text.data();
    strict_builder builder(text, &reached, limits);
    const tracking_iterator first(text.data(), &reached), last(text.data() + text.size(), &reached);
    if (!json::sax_parse(first, last, &builder))
      return fail(errc::invalid_argument, builder.take_error());
    return builder.take_document();
  } catch (const std::bad_alloc&) {
    return fail(errc::limit_reached, "not enough memory for this JSON document");
  } catch (const std::exception& problem) {
    return fail(errc::internal, std::string("JSON parser: ") + problem.what());
  }
}

std::string dump_json(const json& value, json_style style) {
  return value.dump(style == json_style::pretty ? 2 : -1, ' ', false, json::error_handler_t::replace);
}

std::string shown(const json& value) {
  if (value.is_string())
    return quote(value.get_ref<const std::string&>());
  if (value.is_object())
    return "an object";
  if (value.is_array())
    return "a list";
  return dump_json(value);
}

std::string json_pointer_child(std::string_view pointer, std::string_view key) {
  std::string child(pointer);
  child += '/';
  for (const char c : key) {
    if (c == '~')
      child += "~0";
    else if (c == '/')
      child += "~1";
    else
      child += c;
  }
  return child;
}

} // namespace gnomon
