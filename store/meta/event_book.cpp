#include "store/meta/event_book.hpp"

#include <algorithm>
#include <mutex>
#include <optional>
#include <unordered_set>

#include <fmt/format.h>

#include "store/meta/schema.hpp"

namespace gnomon::store {

namespace {

constexpr std::uint64_t event_id_max = 1ull << 62; // a key beyond is damage, not an id to go on from

bool earlier(const calendar_event& a, const calendar_event& b) {
  return std::tie(a.notice.start, a.id) < std::tie(b.notice.start, b.id);
}

std::string name_of(event_id id) { return fmt::format("meta: event {}", id.value); }

result<calendar_event> read_event(std::string_view key, bytes_view value) {
  if (key.size() != sizeof(std::uint64_t))
    return fail(errc::corrupt, "meta: events: a key that is no number");
  const event_id id(key_u64(key, 0));
  auto event = decode_event(value, name_of(id));
  if (event && event->id != id)
    return fail(errc::corrupt, fmt::format("{}: the record of event {}", name_of(id), event->id.value));
  return event;
}

result<event_id> read_counter(const read_transaction& t) {
  const auto stored = t.get(meta_database::node, event_counter_key);
  if (!stored)
    return tl::unexpected(stored.error());
  if (!*stored)
    return fail(errc::not_found, "meta: next_event_id: missing");
  return decode_event_counter(**stored, "meta: next_event_id");
}

// The `count` past events that ended first. limit_reached if there are fewer.
result<std::vector<event_id>> oldest_past(const read_transaction& t, std::size_t count, wall_time now) {
  std::vector<std::pair<wall_time, event_id>> past;
  std::size_t kept = 0;
  auto scanned = t.scan(meta_database::events, "", [&](std::string_view key, bytes_view value) {
    const auto event = read_event(key, value);
    if (event && event->is_past(now))
      past.emplace_back(event->end(), event->id);
    else
      ++kept;
    return scan_step::next;
  });
  if (!scanned)
    return tl::unexpected(scanned.error());
  if (past.size() < count)
    return fail(
        errc::limit_reached,
        fmt::format("the calendar is full: {} events are planned, running or unreadable, and none of those is "
                    "forgotten by itself; remove some first",
                    kept));
  std::partial_sort(past.begin(), past.begin() + static_cast<std::ptrdiff_t>(count), past.end());
  std::vector<event_id> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back(past[i].second);
  return out;
}

// Of a change: what the last run of its job came to (write_job may run several times).
struct change {
  std::vector<calendar_event> added;
  std::vector<event_id> gone;
  calendar_event removed;
};

} // namespace

struct event_book::state {
  event_book_options options;
  mutable std::mutex mutex;
  event_list list = std::make_shared<const std::vector<calendar_event>>(); // guarded by mutex

  void publish(std::vector<calendar_event> events) {
    auto made = std::make_shared<const std::vector<calendar_event>>(std::move(events));
    {
      std::lock_guard lock(mutex);
      list = made;
    }
    if (options.changed)
      options.changed(made);
  }

  // Writer thread: the only one that changes the list once the book is open.
  void carry_out(const change& c) {
    const std::unordered_set<event_id> gone(c.gone.begin(), c.gone.end());
    std::vector<calendar_event> next;
    event_list old;
    {
      std::lock_guard lock(mutex);
      old = list;
    }
    next.reserve(old->size() + c.added.size());
    std::copy_if(old->begin(), old->end(), std::back_inserter(next),
                 [&](const calendar_event& e) { return !gone.contains(e.id); });
    const auto middle = static_cast<std::ptrdiff_t>(next.size());
    next.insert(next.end(), c.added.begin(), c.added.end());
    std::sort(next.begin() + middle, next.end(), earlier);
    std::inplace_merge(next.begin(), next.begin() + middle, next.end(), earlier);
    publish(std::move(next));
  }

  result<void> add(write_transaction& t, const std::vector<event_notice>& told, event_source source, wall_time now,
                   change& out) const {
    out = {};
    auto next = read_counter(t);
    if (!next)
      return tl::unexpected(next.error());
    const auto count = t.count(meta_database::events);
    if (!count)
      return tl::unexpected(count.error());
    if (const auto wanted = *count + told.size(); wanted > options.events_max) {
      auto gone = oldest_past(t, wanted - options.events_max,
                            options.ages != nullptr ? options.ages->wall_now() : now);
      if (!gone)
        return tl::unexpected(gone.error());
      out.gone = std::move(*gone);
    }
    for (const auto id : out.gone)
      if (auto erased = t.erase(meta_database::events, event_key(id)); !erased)
        return tl::unexpected(erased.error());
    for (const auto& notice : told) {
      out.added.push_back({*next, notice, source, now});
      if (auto ok = t.put(meta_database::events, event_key(*next), encode(out.added.back())); !ok)
        return ok;
      ++next->value;
    }
    return t.put(meta_database::node, event_counter_key, encode_event_counter(*next));
  }

  static result<void> remove(write_transaction& t, event_id id, change& out) {
    out = {};
    const auto stored = t.get(meta_database::events, event_key(id));
    if (!stored)
      return tl::unexpected(stored.error());
    if (!*stored)
      return fail(errc::not_found, fmt::format("there is no event {}", id.value));
    if (auto event = read_event(event_key(id), **stored))
      out.removed = std::move(*event);
    out.removed.id = id;
    out.gone = {id};
    const auto erased = t.erase(meta_database::events, event_key(id));
    return erased ? result<void>{} : tl::unexpected(erased.error());
  }

  // Queues a job that fills a change; `give` turns the change into the caller's answer.
  template <class Answer, class Job, class Give>
  static void submit(const std::shared_ptr<state>& s, Job job, std::function<void(result<Answer>)> done, Give give) {
    auto outcome = std::make_shared<change>();
    auto queued = s->options.meta->submit(
        [s, outcome, job = std::move(job)](write_transaction& t) { return job(*s, t, *outcome); },
        [s, outcome, done, give](result<void> committed) {
          if (!committed)
            return done(tl::unexpected(committed.error()));
          s->carry_out(*outcome);
          done(give(std::move(*outcome)));
        });
    if (queued)
      return;
    // Not the book's own limit, which no waiting cures.
    if (queued.error().code == errc::limit_reached)
      queued.error().code = errc::busy;
    done(tl::unexpected(queued.error()));
  }
};

event_book::event_book(std::shared_ptr<state> s) : state_(std::move(s)) {}
event_book::~event_book() = default;

result<std::unique_ptr<event_book>> event_book::open(event_book_options options, event_book_opening* opening) {
  if (!options.meta)
    return fail(errc::internal, "event book: no environment");
  event_book_opening ignored;
  auto& found = opening ? *opening : ignored;
  found = {};
  std::vector<calendar_event> events;
  std::uint64_t highest = 0;
  bool any = false;
  std::optional<error> counter_problem;
  const auto report = [&](std::string text) {
    if (found.problems.size() < event_book_opening::problems_max)
      found.problems.push_back(std::move(text));
    else
      ++found.problems_unlisted;
  };
  auto read = options.meta->read([&](const read_transaction& t) -> result<void> {
    if (auto next = read_counter(t); !next)
      counter_problem = next.error();
    return t.scan(meta_database::events, "", [&](std::string_view key, bytes_view value) {
      any = true;
      if (key.size() == sizeof(std::uint64_t) && key_u64(key, 0) < event_id_max)
        highest = std::max(highest, key_u64(key, 0));
      if (auto event = read_event(key, value))
        events.push_back(std::move(*event));
      else
        report(event.error().to_string() + "; skipped");
      return scan_step::next;
    });
  });
  if (!read)
    return tl::unexpected(read.error());
  if (counter_problem) {
    if (counter_problem->code != errc::not_found && counter_problem->code != errc::corrupt)
      return tl::unexpected(*counter_problem);
    const bool fresh = counter_problem->code == errc::not_found && !any;
    const event_id next(fresh ? 1 : highest + event_id_leap);
    if (!fresh)
      report(fmt::format("{}; numbers of events go on at {}", counter_problem->to_string(), next.value));
    auto written = options.meta->write([&](write_transaction& t) {
      return t.put(meta_database::node, event_counter_key, encode_event_counter(next));
    });
    if (!written)
      return tl::unexpected(written.error());
  }
  std::sort(events.begin(), events.end(), earlier);
  found.events = events.size();
  auto s = std::make_shared<state>();
  s->options = std::move(options);
  s->publish(std::move(events));
  return std::unique_ptr<event_book>(new event_book(std::move(s)));
}

event_list event_book::events() const {
  std::lock_guard lock(state_->mutex);
  return state_->list;
}

void event_book::add(std::vector<event_notice> told, event_source source, done_added done) {
  if (told.empty() || told.size() > event_batch_max)
    return done(fail(errc::invalid_argument,
                     fmt::format("{} events at once; 1 to {} can be told together", told.size(), event_batch_max)));
  for (const auto& notice : told)
    if (auto ok = check_event(notice); !ok)
      return done(tl::unexpected(ok.error()));
  const auto now = state_->options.clock->wall_now();
  state::submit<event_addition>(
      state_,
      [told = std::move(told), source, now](const state& s, write_transaction& t, change& out) {
        return s.add(t, told, source, now, out);
      },
      std::move(done),
      [](change c) {
        return event_addition{std::move(c.added), c.gone.size()};
      });
}

void event_book::remove(event_id id, done_removed done) {
  state::submit<calendar_event>(
      state_, [id](const state&, write_transaction& t, change& out) { return state::remove(t, id, out); },
      std::move(done), [](change c) { return std::move(c.removed); });
}

} // namespace gnomon::store
