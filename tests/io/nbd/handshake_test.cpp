#include "io/nbd/handshake.hpp"

#include <string>

#include <boost/test/unit_test.hpp>

#include "tests/io/nbd/handshake_fixture.hpp"

namespace gnomon::io {

BOOST_AUTO_TEST_SUITE(handshake_test)
namespace {

using namespace test;
using enum handshake_outcome;

} // namespace

// --- the beginning

BOOST_AUTO_TEST_CASE(the_greeting_offers_fixed_newstyle_and_no_zeroes) {
  fake_exports exports;
  const auto bytes = handshake(exports, {}).greeting();
  BOOST_TEST((wire{{bytes.begin(), bytes.end()}}) == wire{}.text("NBDMAGICIHAVEOPT").u16(3));
}

BOOST_AUTO_TEST_CASE(unknown_client_flags_end_the_connection_without_an_answer) {
  for (const std::uint32_t flags : {4u, 0xffff0003u, 0x80000001u}) {
    const conversation c = talk(client_flags(flags).then(go("db")));
    BOOST_TEST(c.outcome == close);
    BOOST_TEST(c.output.bytes.empty());
  }
}

BOOST_AUTO_TEST_CASE(a_client_without_fixed_newstyle_has_export_name_and_nothing_else) {
  BOOST_TEST(talk(client_flags(2).then(option(1, wire{}.text("db")))).outcome == transmission);
  for (const std::uint32_t number : {2u, 3u, 5u, 6u, 7u, 8u, 10u, 99u}) {
    const conversation c = talk(client_flags(0).then(option(number)));
    BOOST_TEST(c.outcome == close);
    BOOST_TEST(c.output.bytes.empty());
  }
}

BOOST_AUTO_TEST_CASE(a_wrong_option_magic_ends_the_connection_without_an_answer) {
  const conversation c = talk(client_flags().text("NOTMAGIC").u32(7).u32(0));
  BOOST_TEST(c.outcome == close);
  BOOST_TEST(c.output.bytes.empty());
}

BOOST_AUTO_TEST_CASE(after_its_end_a_handshake_takes_nothing_and_repeats_its_answer) {
  fake_exports exports;
  handshake h(exports, {});
  const wire input = client_flags().then(option(2)).then(go("db"));
  std::span<const std::byte> left(input.bytes);
  std::vector<std::byte> output;
  BOOST_TEST(h.consume(left, output) == close);
  const std::size_t rest = left.size(), said = output.size();
  BOOST_TEST(rest == go("db").bytes.size());
  BOOST_TEST(h.consume(left, output) == close);
  BOOST_TEST(left.size() == rest);
  BOOST_TEST(output.size() == said);
  BOOST_TEST(exports.claims == 0u);
}

// --- GO, INFO, EXPORT_NAME

BOOST_AUTO_TEST_CASE(go_answers_size_and_flags_and_enters_transmission) {
  const conversation c = talk(client_flags().then(go("db")));
  BOOST_TEST(c.outcome == transmission);
  BOOST_TEST(c.output == export_reply(7, db_bytes, simple_flags).then(acknowledged(7)));
  BOOST_TEST(c.chosen.asked_name == "db");
  BOOST_TEST(c.chosen.what.size == db_bytes);
  BOOST_TEST(c.chosen.transmission_flags == simple_flags);
  BOOST_TEST(!c.chosen.structured_replies);
  BOOST_TEST(!c.chosen.extended_headers);
  BOOST_TEST(!c.chosen.base_allocation.has_value());
  BOOST_TEST(!c.chosen.by_export_name);
  BOOST_TEST(c.chosen.no_zeroes);
}

BOOST_AUTO_TEST_CASE(what_follows_the_last_option_is_left_for_the_transmission_phase) {
  for (const std::size_t extra : {1u, 28u, 5000u})
    BOOST_TEST(talk(client_flags().then(go("db")).zeroes(extra)).unused == extra);
  BOOST_TEST(talk(client_flags().then(option(1, wire{}.text("db"))).text("more")).unused == 4u);
}

BOOST_AUTO_TEST_CASE(go_gives_the_information_that_was_asked_for_once) {
  const conversation c = talk(client_flags().then(go("", {3, 1, 2, 0, 1, 3, 77, 0xffff})));
  BOOST_TEST(c.output == export_reply(7, db_bytes, simple_flags)
                             .then(reply(7, 3, wire{}.u16(1).text("db")))
                             .then(reply(7, 3, wire{}.u16(2).text("the orders")))
                             .then(reply(7, 3, wire{}.u16(3).u32(1).u32(4096).u32(32 << 20)))
                             .then(acknowledged(7)));
  BOOST_TEST(c.chosen.asked_name == ""); // the default export
}

BOOST_AUTO_TEST_CASE(info_says_what_go_would_say_and_claims_nothing) {
  const std::vector<unsigned> asked{1, 2, 3};
  const conversation c = talk(client_flags().then(option(6, info_data("logs", asked))));
  BOOST_TEST(c.outcome == need_more);
  BOOST_TEST(c.output == export_reply(6, 1 << 20, read_only_flags & ~0x80u)
                             .then(reply(6, 3, wire{}.u16(1).text("logs")))
                             .then(reply(6, 3, wire{}.u16(3).u32(1).u32(4096).u32(32 << 20)))
                             .then(acknowledged(6)));
  const conversation both = talk(client_flags().then(option(6, info_data("db", asked))).then(go("db", asked)));
  const auto all = replies_in(both.output);
  BOOST_REQUIRE(all.size() == 10u);
  for (std::size_t i = 0; i < 5; ++i)
    BOOST_TEST(all[i].data == all[i + 5].data);
}

BOOST_AUTO_TEST_CASE(sizes_other_than_the_defaults_are_told_unasked) {
  for (const auto& [block_bytes, payload_bytes] : {std::pair{512u, 32u << 20}, std::pair{1u, 1u << 20}}) {
    fake_exports exports;
    exports.exports["db"].block_bytes_min = block_bytes;
    exports.exports["db"].payload_bytes_max = payload_bytes;
    const conversation c = talk(client_flags().then(go("db")), {}, exports);
    BOOST_TEST(c.output == export_reply(7, db_bytes, simple_flags)
                               .then(reply(7, 3, wire{}.u16(3).u32(block_bytes).u32(4096).u32(payload_bytes)))
                               .then(acknowledged(7)));
    BOOST_TEST(limits_of(c.chosen).block_bytes_min == block_bytes);
    BOOST_TEST(limits_of(c.chosen).payload_bytes_max == payload_bytes);
  }
}

BOOST_AUTO_TEST_CASE(each_reason_to_refuse_an_export_has_its_reply) {
  const std::pair<const char*, std::uint32_t> reasons[] = {
      {"no-such", unknown}, {"busy", policy}, {"forbidden", policy}, {"late", shutdown}};
  for (const auto& [name, type] : reasons) {
    refused(go(name), 7, type);
    refused(option(6, info_data(name)), 6, type);
    refused(set_contexts(name), 10, type, structured_replies());
    const conversation silent =
        talk(client_flags().then(option(1, wire{}.text(name)))); // this one has no error reply
    BOOST_TEST(silent.outcome == close);
    BOOST_TEST(silent.output.bytes.empty());
  }
  const auto busy = replies_in(talk(client_flags().then(go("busy"))).output);
  BOOST_TEST(busy.at(0).data == "volume busy is attached to instance web-1");
}

BOOST_AUTO_TEST_CASE(a_reason_is_sent_as_safe_text_whatever_it_quotes) {
  fake_exports exports;
  exports.refusal = "no volume \x1b[31m\xff\n" + std::string(10'000, 'x');
  const auto told = replies_in(fed(client_flags().then(go("quoted")), {}, {}, exports).output).at(0);
  BOOST_TEST(told.type == unknown);
  BOOST_TEST(nbd::is_string(told.data));
  BOOST_TEST(told.data.starts_with("no volume "));
  BOOST_TEST(told.data.find_first_of("\x1b\n") == std::string::npos);
  BOOST_TEST(told.data.size() <= 1100u);
}

BOOST_AUTO_TEST_CASE(a_malformed_go_or_info_is_refused_and_the_next_one_served) {
  const wire bad[] = {
      {},
      wire{}.zeroes(1),
      wire{}.zeroes(3),
      wire{}.zeroes(5), // shorter than its fixed fields
      wire{}.u32(0xfffffff0).text("a"),
      wire{}.u32(50).text("abc").u16(0), // a name longer than the option
      wire{}.u32(2).text("db"),
      wire{}.u32(2).text("db").zeroes(1), // no count
      wire{}.u32(0).u16(0xffff),
      wire{}.u32(2).text("db").u16(1), // fewer requests than counted
      info_data("db").text("junk"),
      info_data("db", {3}).zeroes(1), // bytes behind the last one
  };
  for (const wire& data : bad)
    for (const std::uint32_t number : {6u, 7u})
      refused(option(number, data), number, invalid);
}

BOOST_AUTO_TEST_CASE(names_that_are_no_strings_are_refused_without_asking_the_directory) {
  using namespace std::string_literals;
  for (const std::string& name :
       {std::string(4097, 'a'), "\0\0\0\0\0\0\0\0"s, "db\0"s, "\xff\xfe\xfd"s, "\xed\xa0\x80"s}) {
    refused(go(name), 7, invalid);
    refused(set_contexts(name), 10, invalid, structured_replies());
    const conversation silent = talk(client_flags().then(option(1, wire{}.text(name))));
    BOOST_TEST(silent.outcome == close);
    BOOST_TEST(silent.output.bytes.empty());
  }
  for (const std::string& name :
       {"../../etc/passwd"s, "/etc/passwd"s, "%s%n%x"s, "'; drop table--"s, "db/"s, std::string(4096, 'a')})
    refused(go(name), 7, unknown); // strings, but nobody's name
}

BOOST_AUTO_TEST_CASE(export_name_answers_size_flags_and_124_zeroes_unless_told_not_to) {
  const wire head = wire{}.u64(db_bytes).u16(simple_flags);
  for (const std::uint32_t flags : {0u, 1u})
    BOOST_TEST(talk(client_flags(flags).then(option(1, wire{}.text("db")))).output == wire(head).zeroes(124));
  for (const std::uint32_t flags : {2u, 3u}) {
    const conversation c = talk(client_flags(flags).then(option(1, wire{}.text("db"))));
    BOOST_TEST(c.output == head);
    BOOST_TEST(c.outcome == transmission);
    BOOST_TEST(c.chosen.by_export_name);
  }
  BOOST_TEST(talk(client_flags().then(option(1))).outcome == transmission); // the default export
}

BOOST_AUTO_TEST_CASE(go_sends_no_zeroes_whatever_the_client_flags) {
  BOOST_TEST(talk(client_flags(1).then(go("db"))).output == talk(client_flags(3).then(go("db"))).output);
}

BOOST_AUTO_TEST_CASE(a_read_only_export_says_so_and_offers_no_change) {
  const conversation c = talk(client_flags().then(structured_replies()).then(go("logs")));
  BOOST_TEST(c.output == acknowledged(8).then(export_reply(7, 1 << 20, read_only_flags)).then(acknowledged(7)));
  BOOST_TEST(limits_of(c.chosen).read_only);
}

// --- the other options

BOOST_AUTO_TEST_CASE(list_names_every_export_with_its_description) {
  const conversation c = talk(client_flags().then(option(3)));
  BOOST_TEST(c.outcome == need_more);
  BOOST_TEST(c.output == reply(3, 2, wire{}.u32(2).text("db").text("the orders"))
                             .then(reply(3, 2, wire{}.u32(4).text("logs")))
                             .then(acknowledged(3)));
  refused(option(3, wire{}.text("x")), 3, invalid);
}

BOOST_AUTO_TEST_CASE(abort_is_acknowledged_and_ends_the_handshake_with_or_without_data) {
  for (const std::size_t data : {0u, 7u, 20'000u}) {
    const conversation c = talk(client_flags().then(option(2, wire{}.zeroes(data))).then(go("db")));
    BOOST_TEST(c.outcome == close);
    BOOST_TEST(c.output == acknowledged(2));
  }
}

BOOST_AUTO_TEST_CASE(unknown_options_are_unsupported_and_the_negotiation_goes_on) {
  for (const std::uint32_t number : {0u, 4u, 12u, 99u, 0x7fffffffu, 0xffffffffu})
    refused(option(number, wire{}.text("xyz")), number, unsupported);
}

BOOST_AUTO_TEST_CASE(starttls_is_refused_while_there_is_no_tls) {
  refused(option(5), 5, policy);
  refused(option(5, wire{}.text("x")), 5, invalid);
}

BOOST_AUTO_TEST_CASE(structured_replies_bring_df) {
  const conversation c = talk(client_flags().then(structured_replies()).then(structured_replies()).then(go("db")));
  BOOST_TEST(
      c.output ==
      acknowledged(8).then(acknowledged(8)).then(export_reply(7, db_bytes, writable_flags)).then(acknowledged(7)));
  BOOST_TEST(c.chosen.structured_replies);
  BOOST_TEST(limits_of(c.chosen).structured_replies);
  refused(option(8, wire{}.text("x")), 8, invalid);
}

BOOST_AUTO_TEST_CASE(extended_headers_are_agreed_on_only_where_they_can_be_spoken) {
  refused(option(11), 11, unsupported);
  const handshake_limits able{64, true};
  refused(option(11, wire{}.text("x")), 11, invalid, {}, able);
  const conversation c = talk(client_flags().then(option(11)).then(set_contexts("db")).then(go("db")), able);
  BOOST_TEST(c.outcome == transmission);
  BOOST_TEST(c.chosen.extended_headers);
  BOOST_TEST(c.chosen.base_allocation.has_value()); // contexts do not need structured replies then
  BOOST_TEST(c.chosen.transmission_flags == (writable_flags | nbd::block_status_payload));
  BOOST_TEST(limits_of(c.chosen).extended_headers);
  // without a context for this export there is nothing to filter
  BOOST_TEST(talk(client_flags().then(option(11)).then(go("db")), able).chosen.transmission_flags == writable_flags);
  const conversation other = talk(client_flags().then(option(11)).then(set_contexts("db")).then(go("logs")), able);
  BOOST_TEST((other.chosen.transmission_flags & nbd::block_status_payload) == 0);
  refused(option(8), 8, extended_required, option(11), able);
  const conversation old = talk(client_flags().then(option(11)).then(option(1, wire{}.text("db"))), able);
  BOOST_TEST(old.outcome == close); // the protocol forbids EXPORT_NAME after it
}

// --- metadata contexts

BOOST_AUTO_TEST_CASE(base_allocation_is_agreed_on_for_the_export_it_was_asked_for) {
  const conversation c = talk(client_flags().then(structured_replies()).then(set_contexts("db")).then(go("db")));
  BOOST_TEST(c.output == acknowledged(8)
                             .then(reply(10, 4, wire{}.u32(nbd::base_allocation_id).text("base:allocation")))
                             .then(acknowledged(10))
                             .then(export_reply(7, db_bytes, writable_flags))
                             .then(acknowledged(7)));
  BOOST_REQUIRE(c.chosen.base_allocation.has_value());
  BOOST_TEST(*c.chosen.base_allocation == nbd::base_allocation_id);
  BOOST_TEST(limits_of(c.chosen).has_base_allocation);
  BOOST_TEST(
      talk(client_flags().then(structured_replies()).then(set_contexts("db")).then(option(1, wire{}.text("db"))))
          .chosen.base_allocation.has_value());
}

BOOST_AUTO_TEST_CASE(another_export_or_a_later_request_drops_the_context) {
  const auto agreed = [](const wire& between, std::string_view name) {
    const conversation c =
        talk(client_flags().then(structured_replies()).then(set_contexts("db")).then(between).then(go(name)));
    BOOST_TEST(c.outcome == transmission);
    return c.chosen.base_allocation.has_value();
  };
  BOOST_TEST(agreed({}, "db"));
  BOOST_TEST(agreed(option(99), "db"));
  BOOST_TEST(agreed(option(9, context_data("logs", {})), "db")); // listing changes nothing
  BOOST_TEST(!agreed({}, "logs"));
  BOOST_TEST(!agreed({}, "")); // the default export is db, but was not named so
  BOOST_TEST(!agreed(set_contexts("db", {}), "db"));
  BOOST_TEST(!agreed(set_contexts("logs"), "db"));
  BOOST_TEST(!agreed(set_contexts("no-such"), "db")); // also when the later request fails
  BOOST_TEST(!agreed(option(10, wire{}.text("x")), "db"));
  BOOST_TEST(!agreed(option(10, wire{}.zeroes(20'000)), "db"));
  BOOST_TEST(agreed(set_contexts("logs").then(set_contexts("db")), "db"));
}

BOOST_AUTO_TEST_CASE(set_selects_exact_names_only_and_list_knows_the_wildcard) {
  const auto names = [](std::uint32_t number, const std::vector<std::string_view>& queries) {
    const conversation c =
        talk(client_flags().then(structured_replies()).then(option(number, context_data("db", queries))));
    const auto all = replies_in(c.output);
    BOOST_TEST(all.back().type == 1u);
    return all.size() - 2; // without the two acknowledgements
  };
  BOOST_TEST(names(10, {"base:allocation"}) == 1u);
  BOOST_TEST(names(10, {"base:allocation", "qemu:dirty-bitmap:x", "base:allocation"}) == 1u);
  for (const std::string_view none :
       {"base:", "base:alloc", "base:allocation2", "BASE:allocation", "x-y:", "qemu:allocation-depth"})
    BOOST_TEST(names(10, {none}) == 0u);
  BOOST_TEST(names(10, {}) == 0u);
  BOOST_TEST(names(9, {}) == 1u);
  BOOST_TEST(names(9, {"base:"}) == 1u);
  BOOST_TEST(names(9, {"base:allocation", "base:"}) == 1u);
  BOOST_TEST(names(9, {"qemu:"}) == 0u);
  BOOST_TEST(names(9, {"base:nothing"}) == 0u);
  const conversation listed = talk(client_flags().then(structured_replies()).then(option(9, context_data("db", {}))));
  BOOST_TEST(replies_in(listed.output).at(1).data == std::string(4, '\0') + "base:allocation"); // no id when listing
}

BOOST_AUTO_TEST_CASE(contexts_need_structured_replies_first) {
  refused(set_contexts("db"), 10, invalid);
  refused(option(9, context_data("db", {})), 9, invalid);
}

BOOST_AUTO_TEST_CASE(lying_counts_and_lengths_of_queries_are_refused) {
  const wire name = wire{}.u32(2).text("db");
  const std::pair<wire, std::uint32_t> bad[] = {
      {{}, invalid},
      {wire{}.u32(0xffffffff), invalid},
      {name, invalid},
      {wire(name).zeroes(3), invalid},
      {wire(name).u32(0xffffffff), too_big},
      {wire(name).u32(handshake::queries_max + 1), too_big},
      {wire(name).u32(1).u32(0xffffff00).text("x"), invalid},
      {wire(name).u32(2).u32(15).text("base:allocation"), invalid},
      {wire(name).u32(1).u32(15).text("base:allocation").text("junk"), invalid},
      {wire(name).u32(0).text("junk"), invalid},
      {context_data("db", {"nocolon"}), invalid},
      {context_data("db", {":leaf"}), invalid},
      {context_data("db", {""}), invalid},
      {context_data("db", {std::string_view("x:\0", 3)}), invalid},
      {context_data("db", {"x:\xff"}), invalid},
  };
  for (const auto& [data, type] : bad)
    for (const std::uint32_t number : {9u, 10u})
      refused(option(number, data), number, type, structured_replies());
  const std::string longest = "x:" + std::string(4094, 'y'), longer = longest + "y";
  refused(set_contexts("db", {longer}), 10, invalid, structured_replies());
  const auto passed =
      replies_in(talk(client_flags().then(structured_replies()).then(set_contexts("db", {longest}))).output);
  BOOST_TEST(passed.back().type == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace gnomon::io
