#!/usr/bin/python3
"""Extended headers: 64-bit lengths, replies that name their request's offset, filters of block status. By hand, since
the libnbd of Debian 12 does not support them."""
import errno
import os
import shutil
import socket
import struct
import tempfile
import unittest

import node
import raw_nbd as raw
import suite

TiB, MiB = node.TiB, node.MiB
SIZE = TiB
MAXIMUM = 32 * MiB


class Client:
    """One connection with extended headers; answers come in the order of its requests, one at a time."""

    def __init__(self, plain, contexts=("base:allocation",)):
        self.plain = plain
        self.size, self.flags, self.ids = raw.open_extended(plain, "db", contexts)
        self.cookie = 0x1000

    def ask(self, command, offset=0, length=0, flags=0, payload=b""):
        self.cookie += 1
        self.plain.sendall(raw.extended_request(command, offset, length, self.cookie, flags, payload))
        return self.answer(self.cookie, offset)

    def answer(self, cookie, offset):
        """(errno, chunks)."""
        got_cookie, got_offset, chunks = raw.extended_reply(self.plain)
        assert (got_cookie, got_offset) == (cookie, offset), (got_cookie, got_offset)
        kind, payload = chunks[-1]
        if kind == raw.CHUNK_ERROR:
            number, length = struct.unpack(">IH", payload[:6])
            assert len(payload) == 6 + length and length > 0, payload
            payload[6:].decode()
            return number, chunks
        return 0, chunks

    def done(self, *arguments, **named):
        error, chunks = self.ask(*arguments, **named)
        assert (error, chunks) == (0, [(raw.CHUNK_NONE, b"")]), (error, chunks)

    def read(self, length, offset, flags=0):
        error, chunks = self.ask(raw.READ, offset, length, flags)
        assert error == 0, error
        data, told = bytearray(length), 0
        for kind, payload in chunks:
            at = struct.unpack(">Q", payload[:8])[0] - offset
            if kind == raw.CHUNK_DATA:
                data[at:at + len(payload) - 8] = payload[8:]
                told += len(payload) - 8
            else:
                assert kind == raw.CHUNK_HOLE and len(payload) == 12, (kind, payload)
                told += struct.unpack(">I", payload[8:])[0]
        assert told == length, (told, length)
        return bytes(data)

    def extents(self, length, offset, flags=0, ids=None):
        """[(length, state)]; with ids the request is the one with a payload."""
        payload = b"" if ids is None else struct.pack(f">Q{len(ids)}I", length, *ids)
        error, chunks = self.ask(raw.BLOCK_STATUS, offset, length, flags, payload)
        if error:
            return error
        (kind, status), = chunks
        context, count = struct.unpack(">II", status[:8])
        assert (kind, context, len(status)) == (raw.CHUNK_STATUS_EXTENDED, self.ids["base:allocation"], 8 + 16 * count)
        values = struct.unpack(f">{2 * count}Q", status[8:])
        return list(zip(values[::2], values[1::2]))


@suite.on_every_listener
class extended(suite.OneNode):
    size = SIZE

    def client(self, contexts=("base:allocation",)):
        plain = self.node.connect(self.listener)
        self.addCleanup(plain.close)
        plain.settimeout(300) # a hang fails here rather than in CTest
        return Client(plain, contexts)

    def closed(self, plain):
        """The server ends the connection, after whatever it still has to say."""
        try:
            while plain.recv(65536):
                pass
        except ConnectionError:
            pass

    # --- agreeing on it

    def test_filters_are_offered_where_there_is_a_context_to_filter(self):
        self.assertTrue(self.client().flags & 1 << 12)
        self.assertFalse(self.client(contexts=()).flags & 1 << 12)
        self.assertEqual(self.client().size, SIZE)

    def test_structured_replies_and_old_clients_have_no_place_after_it(self):
        plain = self.node.connect(self.listener)
        self.addCleanup(plain.close)
        raw.greet(plain)
        plain.sendall(raw.option(raw.OPT_STRUCTURED) + raw.option(raw.OPT_EXTENDED) + raw.option(raw.OPT_STRUCTURED))
        self.assertEqual(raw.option_reply(plain)[1], raw.REP_ACK)
        self.assertEqual(raw.option_reply(plain)[1], raw.REP_ACK)
        self.assertEqual(raw.option_reply(plain)[1], raw.REP_ERROR_BIT | 10)
        plain.sendall(raw.option(raw.OPT_EXPORT_NAME, b"db"))
        self.closed(plain)

    def test_each_form_of_header_is_refused_where_the_other_was_agreed_on(self):
        client = self.client()
        client.plain.sendall(raw.request(raw.READ, 0, 512) + bytes(64))
        self.closed(client.plain)
        plain = self.node.connect(self.listener)
        self.addCleanup(plain.close)
        raw.go(plain, "db")
        plain.sendall(raw.extended_request(raw.READ, 0, 512))
        self.closed(plain)

    # --- what it is for

    def test_one_request_covers_more_than_32_bits_can_say(self):
        client = self.client()
        client.done(raw.WRITE_ZEROES, 0, SIZE)
        for at in (0, 5 * node.GiB, SIZE - MiB):
            client.done(raw.WRITE, at, payload=b"w" * MiB)
        self.assertEqual(client.extents(SIZE, 0)[1], (5 * node.GiB - MiB, 3))
        client.done(raw.CACHE, 0, SIZE)
        client.done(raw.TRIM, 4096, SIZE - 4096)
        self.assertEqual(client.read(8192, 0), b"w" * 4096 + bytes(4096))
        self.assertEqual(client.extents(SIZE, 0), [(4096, 0), (SIZE - 4096, 3)])
        client.done(raw.WRITE, 7 * node.GiB, payload=b"x" * 65536)
        client.done(raw.WRITE_ZEROES, 1, SIZE - 2, raw.FAST_ZERO)
        self.assertEqual(client.read(4096, 0), b"w" + bytes(4095))
        self.assertEqual(client.read(65536, 7 * node.GiB), bytes(65536))
        client.done(raw.FLUSH)
        self.assertEqual(client.extents(SIZE, 0, raw.REQ_ONE), [(4096, 0)])
        client.done(raw.WRITE_ZEROES, 0, SIZE)

    def test_what_lies_beyond_the_end_is_refused_at_any_length(self):
        client = self.client()
        for offset, length in ((0, SIZE + 1), (SIZE, 1), (1, SIZE), (1 << 63, 1 << 63), (512, (1 << 64) - 512),
                               ((1 << 64) - 1, (1 << 64) - 1)):
            for command in (raw.TRIM, raw.CACHE, raw.WRITE_ZEROES, raw.BLOCK_STATUS, raw.READ):
                error, _ = client.ask(command, offset, length)
                self.assertIn(error, (errno.EINVAL, errno.ENOSPC), (command, offset, length))
        self.assertEqual(len(client.read(512, SIZE - 512)), 512)

    def test_reads_and_writes_keep_their_maximum(self):
        client = self.client()
        self.assertEqual(client.ask(raw.READ, 0, MAXIMUM + 1)[0], errno.EINVAL)
        self.assertEqual(client.ask(raw.READ, 0, 1 << 40)[0], errno.EINVAL)
        data = suite.seeded().randbytes(MAXIMUM)
        client.done(raw.WRITE, 9 * node.GiB, payload=data, flags=raw.FUA)
        self.assertEqual(client.read(MAXIMUM, 9 * node.GiB), data)
        self.assertEqual(client.read(MAXIMUM, 9 * node.GiB, raw.DF), data)
        client.done(raw.TRIM, 9 * node.GiB, MAXIMUM)
        # a longer payload than was announced as the maximum is not read to its end
        client.plain.sendall(raw.extended_request(raw.WRITE, 0, MAXIMUM + 1, 1, raw.PAYLOAD))
        self.closed(client.plain)

    def test_random_operations_against_a_model(self):
        random_ = suite.seeded()
        client = self.client()
        base, length = 32 * MiB, 4 * MiB
        model = bytearray(length)
        client.done(raw.WRITE_ZEROES, base, length)
        for step in range(800):
            count = random_.choice([1, 511, 512, 4095, 4096, 4097, 65536, 65537, random_.randrange(1, 300000)])
            at = random_.randrange(0, length - count + 1)
            fua = raw.FUA if random_.random() < 0.05 else 0
            roll = random_.random()
            if roll < 0.45:
                data = random_.randbytes(count)
                client.done(raw.WRITE, base + at, payload=data, flags=fua)
                model[at:at + count] = data
            elif roll < 0.6:
                client.done(raw.WRITE_ZEROES, base + at, count, fua | random_.choice((0, raw.NO_HOLE)))
                model[at:at + count] = bytes(count)
            else:
                self.assertEqual(client.read(count, base + at, random_.choice((0, raw.DF))), model[at:at + count], step)
        self.assertEqual(self.client(contexts=()).read(length, base), model)

    # --- filters

    def test_a_block_status_may_name_the_context_it_is_about(self):
        client = self.client()
        context = client.ids["base:allocation"]
        base = 48 * MiB
        client.done(raw.WRITE_ZEROES, base, 4 * MiB)
        client.done(raw.WRITE, base + MiB, payload=b"f" * 65536)
        expected = [(MiB, 3), (65536, 0), (4 * MiB - MiB - 65536, 3)]
        self.assertEqual(client.extents(4 * MiB, base), expected)
        self.assertEqual(client.extents(4 * MiB, base, ids=[context]), expected)
        self.assertEqual(client.extents(4 * MiB, base, raw.REQ_ONE, ids=[context]), expected[:1])
        self.assertGreater(client.extents(SIZE - base, base, ids=[context])[-1][0], 1 << 32)
        for ids in ([], [context + 1], [0], [context, context], [context, 77], list(range(1000))):
            self.assertEqual(client.extents(4 * MiB, base, ids=ids), errno.EINVAL, ids)
        self.assertEqual(client.extents(SIZE, base, ids=[context]), errno.EINVAL)
        self.assertEqual(client.extents(0, base, ids=[context]), errno.EINVAL)
        self.assertEqual(client.extents(4 * MiB, base, ids=[context]), expected)

    def test_without_a_context_there_is_neither_status_nor_filter(self):
        client = self.client(contexts=())
        client.ids["base:allocation"] = 1
        self.assertEqual(client.extents(4096, 0), errno.EINVAL)
        self.assertEqual(client.extents(4096, 0, ids=[1]), errno.EINVAL)
        self.assertEqual(len(client.read(512, 0)), 512)

    # --- payloads, in and out of step

    def test_a_payload_nobody_asked_for_is_passed_over(self):
        client = self.client()
        for command in (raw.READ, raw.FLUSH, raw.TRIM, raw.CACHE, raw.WRITE_ZEROES, 77):
            for length in (1, 512, 70000, MiB):
                self.assertEqual(client.ask(command, 0, payload=b"p" * length)[0], errno.EINVAL, (command, length))
        self.assertEqual(len(client.read(512, 0)), 512)

    def test_a_write_that_does_not_announce_its_payload_ends_the_connection(self):
        client = self.client()
        client.plain.sendall(raw.extended_request(raw.WRITE, 0, 512) + bytes(512))
        self.closed(client.plain)

    def test_refused_long_writes_leave_the_connection_in_step(self):
        """After long writes the server expects another one: what it passes over must not be taken for a header."""
        client = self.client()
        for _ in range(3):
            client.done(raw.WRITE, 12 * node.GiB, payload=b"g" * MiB)
            self.assertEqual(client.ask(raw.WRITE, SIZE - 512, payload=b"h" * MiB)[0], errno.ENOSPC)
        plain = self.node.connect(self.listener)
        self.addCleanup(plain.close)
        raw.go(plain, "db")
        for cookie in range(3):
            plain.sendall(raw.request(raw.WRITE, 12 * node.GiB, MiB, cookie, payload=b"g" * MiB))
            self.assertEqual(raw.simple_reply(plain)[:2], (0, cookie))
            plain.sendall(raw.request(raw.WRITE, SIZE - 512, MiB, cookie + 10))
            plain.sendall(b"h" * MiB) # comes after the header was judged
            self.assertEqual(raw.simple_reply(plain)[:2], (errno.ENOSPC, cookie + 10))
        client.done(raw.TRIM, 12 * node.GiB, MiB)

    def test_requests_cut_anywhere_are_put_together_again(self):
        client = self.client()
        context = client.ids["base:allocation"]
        if client.plain.family == socket.AF_INET:
            client.plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        base = 60 * MiB
        client.done(raw.WRITE_ZEROES, base, MiB)
        client.done(raw.WRITE, base, payload=b"cut" * 11) # the same again below, where a read may overtake it
        stream = (raw.extended_request(raw.WRITE, base, cookie=1, payload=b"cut" * 11)
                  + raw.extended_request(raw.BLOCK_STATUS, base, cookie=2, flags=raw.REQ_ONE,
                                         payload=struct.pack(">QI", MiB, context))
                  + raw.extended_request(raw.TRIM, base, cookie=3, payload=b"no")
                  + raw.extended_request(raw.BLOCK_STATUS, base, cookie=4, payload=struct.pack(">QI", MiB, context + 1))
                  + raw.extended_request(raw.READ, base, 33, cookie=5))

        def check():
            replies = {}
            for _ in range(5):
                cookie, offset, chunks = raw.extended_reply(client.plain)
                self.assertEqual(offset, base)
                replies[cookie] = chunks
            self.assertEqual(replies[1], [(raw.CHUNK_NONE, b"")])
            self.assertEqual(replies[2][0][0], raw.CHUNK_STATUS_EXTENDED)
            self.assertEqual(struct.unpack(">I", replies[3][0][1][:4]), (errno.EINVAL,))
            self.assertEqual(struct.unpack(">I", replies[4][0][1][:4]), (errno.EINVAL,))
            self.assertEqual(replies[5][0][1][8:], b"cut" * 11)
        client.plain.sendall(stream)
        check()
        for at in range(len(stream)):
            client.plain.sendall(stream[at:at + 1])
        check()
        for cut in range(1, len(stream), 7):
            client.plain.sendall(stream[:cut])
            client.plain.sendall(stream[cut:])
            check()

    def test_many_requests_in_one_go_are_all_answered(self):
        client = self.client()
        base = 20 * node.GiB
        kinds = [(raw.WRITE, b"m" * 600), (raw.TRIM, b""), (raw.READ, b""), (raw.CACHE, b""), (raw.BLOCK_STATUS, b"")]
        stream = b"".join(raw.extended_request(kinds[i % 5][0], base + 4096 * i, 600, i, payload=kinds[i % 5][1])
                          for i in range(1000))
        client.plain.sendall(stream)
        answered = set()
        for _ in range(1000):
            cookie, offset, chunks = raw.extended_reply(client.plain)
            self.assertEqual(offset, base + 4096 * cookie)
            self.assertNotEqual(chunks[-1][0], raw.CHUNK_ERROR)
            answered.add(cookie)
        self.assertEqual(len(answered), 1000)
        client.done(raw.TRIM, base, 4096 * 1001)


class a_file_system_that_cannot_zero(unittest.TestCase):
    """tmpfs punches holes but zeroes no allocated range: that means writing, which has its limit."""

    def test_long_zeroing_without_holes_is_refused_not_begun(self):
        if not os.path.isdir("/dev/shm"):
            self.skipTest("needs a tmpfs at /dev/shm")
        folder = tempfile.mkdtemp(prefix="gnomon-test.", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        with node.Node({"db": SIZE}, folder=folder) as served:
            plain = served.connect()
            self.addCleanup(plain.close)
            plain.settimeout(300)
            client = Client(plain)
            client.done(raw.WRITE, 0, payload=b"z" * MiB)
            for length in (8 * node.GiB, SIZE):
                self.assertEqual(client.ask(raw.WRITE_ZEROES, 0, length, raw.NO_HOLE)[0], errno.EOVERFLOW)
            self.assertEqual(client.ask(raw.WRITE_ZEROES, 0, MiB, raw.NO_HOLE | raw.FAST_ZERO)[0], errno.ENOTSUP)
            self.assertEqual(client.read(MiB, 0), b"z" * MiB)
            client.done(raw.WRITE_ZEROES, 1, 4 * MiB, raw.NO_HOLE)
            self.assertEqual(client.read(5 * MiB, 0), b"z" + bytes(5 * MiB - 1))
            client.done(raw.WRITE_ZEROES, 0, SIZE, raw.FAST_ZERO)
            self.assertEqual(client.extents(SIZE, 0), [(SIZE, 3)])


if __name__ == "__main__":
    suite.main()
