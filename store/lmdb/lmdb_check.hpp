// Looks through an LMDB data file before LMDB maps it. LMDB trusts its pages: a flipped bit in a page header or a cut
// file makes it read outside the map or abort. This walk reads the file with pread, follows the newest meta page's
// two trees and checks every pointer, so that damage becomes an error value. Any thread; blocks; never writes, never
// throws. Format: LMDB 0.9, data version 1, as in mdb.c ("MDB_page", "MDB_node", "MDB_db", "MDB_meta"), 64-bit
// little-endian.
#pragma once

#include <cstdint>
#include <string>

#include "config/error.hpp"

namespace gnomon::store {

struct lmdb_file_summary {
  std::uint64_t page_bytes = 0, pages_used = 0, pages_visited = 0, file_bytes = 0;
};

// A missing or empty file is fine (LMDB creates it). corrupt: not an LMDB file, damaged meta page, damaged or missing
// page; unsupported: data format of another LMDB version; permission_denied, io_failed.
result<lmdb_file_summary> check_lmdb_file(const std::string& path);

} // namespace gnomon::store
