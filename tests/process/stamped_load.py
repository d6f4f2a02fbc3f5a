"""A writer and its checker for crash tests: every 512-byte sector carries the number of the write it came from.

Load issues writes, zeroings and flushes over several connections, overlapping ones included, and notes outside of the
server when each was issued and acknowledged. After a crash, check() reads everything back: a sector must hold a write
that no acknowledged later one supersedes (promise 1 of the design: linearizable, and no acknowledged write is lost).
"""
import select
import struct
import time

import nbd

SECTOR = 512
STAMP = struct.Struct("<8sQQQ")          # magic, sector, write number, seed; 32 bytes, 16 times in a sector
MAGIC = b"gnomon\x00\x01"
IN_FLIGHT_MAX = 16                       # per connection
SIZES = (SECTOR, SECTOR, 3 * SECTOR, 4096, 4096, 4096, 4096, 8192, 65536, 65536 + SECTOR, 262144)


class Write:
    """One write (or zeroing): its number, and when it was issued and acknowledged on the checker's own count."""
    __slots__ = ("number", "zero", "issued", "acknowledged")

    def __init__(self, number, zero, issued):
        self.number, self.zero, self.issued, self.acknowledged = number, zero, issued, None


class Load:
    """history maps a sector to the writes it may hold; a sector without an entry was never written and reads zero."""

    def __init__(self, random_, size, seed_word, fua_share=0.05, zero_share=0.05, flush_share=0.02):
        self.random, self.sectors, self.seed_word = random_, size // SECTOR, seed_word
        self.fua_share, self.zero_share, self.flush_share = fua_share, zero_share, flush_share
        self.history = {}
        self.tick = 0                    # order of everything this process saw
        self.number = 0
        self.acknowledged = self.flushes = self.refused = self.bytes = 0

    def stamp(self, sector, number):
        return STAMP.pack(MAGIC, sector, number, self.seed_word) * (SECTOR // STAMP.size)

    def expected(self, sector, write):
        return bytes(SECTOR) if write is None or write.zero else self.stamp(sector, write.number)

    # --- writing

    def _issue(self, connection):
        roll = self.random.random()
        self.tick += 1
        if roll < self.flush_share:
            def flushed(error):
                self.flushes += error.value == 0
                return 1
            connection.aio_flush(completion=flushed)
            return
        length = self.random.choice(SIZES)
        count = length // SECTOR
        # Half of all writes go to one small region, so that overlaps and rewrites are common.
        span = self.sectors // 64 if self.random.random() < 0.5 else self.sectors
        first = self.random.randrange(0, max(1, span - count + 1))
        self.number += 1
        zero = roll < self.flush_share + self.zero_share
        write = Write(self.number, zero, self.tick)
        for sector in range(first, first + count):
            self._remember(sector, write)

        def answered(error):
            self.tick += 1
            if error.value == 0:
                write.acknowledged = self.tick
                self.acknowledged += 1
                self.bytes += length
            else:
                self.refused += 1        # may or may not have happened: stays in flight for the checker
            return 1
        flags = nbd.CMD_FLAG_FUA if self.random.random() < self.fua_share else 0
        if zero:
            connection.aio_zero(length, first * SECTOR, completion=answered, flags=flags)
        else:
            data = b"".join(self.stamp(sector, write.number) for sector in range(first, first + count))
            connection.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(data)), first * SECTOR, completion=answered,
                                  flags=flags)

    def _remember(self, sector, write):
        """Adds a candidate and drops those that an acknowledged write issued after their answer has superseded."""
        known = self.history.get(sector)
        if known is None:
            self.history[sector] = [None, write]
            return
        known.append(write)
        if len(known) > 3:
            self.history[sector] = self.candidates(known)

    @staticmethod
    def candidates(known):
        """What a sector may hold: None stands for its state before all of them."""
        newest_issue_of_acknowledged = max((w.issued for w in known if w is not None and w.acknowledged), default=0)

        def superseded(write):
            if newest_issue_of_acknowledged == 0:
                return False
            if write is None:
                return True
            return write.acknowledged is not None and write.acknowledged < newest_issue_of_acknowledged
        return [write for write in known if not superseded(write)]

    def run(self, connections, until):
        """Writes until every connection is dead (the server was killed) or until() is true; then drains."""
        poll = select.poll()
        by_fd = {}
        for connection in connections:
            by_fd[connection.aio_get_fd()] = connection
        stopping = False
        while True:
            busy = 0
            poll_fds = []
            stopping = stopping or until()
            for fd, connection in by_fd.items():
                if connection.aio_is_dead() or connection.aio_is_closed():
                    continue
                try:
                    while not stopping and connection.aio_in_flight() < IN_FLIGHT_MAX:
                        self._issue(connection)
                    if connection.aio_in_flight() == 0:
                        continue
                    direction = connection.aio_get_direction()
                except nbd.Error:
                    continue             # it died while we were issuing
                busy += 1
                events = (select.POLLIN if direction & nbd.AIO_DIRECTION_READ else 0) | \
                         (select.POLLOUT if direction & nbd.AIO_DIRECTION_WRITE else 0)
                poll_fds.append(fd)
                poll.register(fd, events)
            if busy == 0:
                return
            for fd, events in poll.poll(1000):
                connection = by_fd[fd]
                try:
                    if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                        connection.aio_notify_read()
                    elif events & select.POLLOUT:
                        connection.aio_notify_write()
                except nbd.Error:
                    pass                 # dead from now on; its unanswered writes stay in flight
            for fd in poll_fds:
                poll.unregister(fd)

    # --- checking

    def check(self, connection):
        """Compares the whole region; returns a list of complaints. What was found becomes the only truth."""
        complaints = []
        step = 1 << 20
        undecided = 0
        for start in range(0, self.sectors * SECTOR, step):
            data = connection.pread(min(step, self.sectors * SECTOR - start), start)
            for sector in range(start // SECTOR, (start + len(data)) // SECTOR):
                at = sector * SECTOR - start
                found = data[at:at + SECTOR]
                known = self.history.get(sector)
                if known is None:
                    if found != bytes(SECTOR):
                        complaints.append(f"sector {sector}: was never written, holds {self.describe(found)}")
                    continue
                allowed = self.candidates(known)
                undecided += len(allowed) > 1
                match = [write for write in allowed if self.expected(sector, write) == found]
                if not match:
                    numbers = ["zeros" if w is None or w.zero else w.number for w in allowed]
                    complaints.append(f"sector {sector}: may hold {numbers}, holds {self.describe(found)}")
                    continue
                settled = match[-1]
                if settled is not None and settled.acknowledged is None:
                    # Of this sector only: others of the same unanswered write may still hold what was there before.
                    settled = Write(settled.number, settled.zero, settled.issued)
                    settled.acknowledged = self.tick
                self.history[sector] = [settled]
        self.tick += 1
        self.undecided = undecided
        return complaints

    @staticmethod
    def describe(found):
        if found == bytes(SECTOR):
            return "zeros"
        parts = {STAMP.unpack_from(found, at)[:3] for at in range(0, SECTOR, STAMP.size)}
        if len(parts) > 1:
            return f"a torn mixture of {sorted((sector, number) for _, sector, number in parts)[:4]}"
        magic, sector, number = parts.pop()
        return f"write {number} of sector {sector}" if magic == MAGIC else f"foreign bytes {found[:16].hex()}"
