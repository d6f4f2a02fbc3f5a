#!/usr/bin/python3
"""The edges of the protocol through libnbd with its own checks off, so that bad requests reach the server."""
import errno
import os
import threading

import node
import suite

nbd = suite.need_nbd()
SIZE = 64 * node.MiB
MiB = node.MiB
FUA, NO_HOLE, FAST_ZERO, DF, REQ_ONE = (nbd.CMD_FLAG_FUA, nbd.CMD_FLAG_NO_HOLE, nbd.CMD_FLAG_FAST_ZERO,
                                        nbd.CMD_FLAG_DF, nbd.CMD_FLAG_REQ_ONE)


@suite.on_every_listener
class edges(suite.OneNode):
    size = SIZE

    def connect(self, structured=True, meta=True):
        connection = nbd.NBD()
        connection.set_strict_mode(0)
        connection.set_request_structured_replies(structured)
        if structured and meta:
            connection.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
        connection.connect_uri(self.uri)
        self.addCleanup(self.close, connection)
        return connection

    @staticmethod
    def close(connection):
        try:
            connection.shutdown()
        except nbd.Error:
            pass

    def refused(self, expected, call, *arguments, **named):
        """The call must fail with one of these errno, and the connection must go on."""
        with self.assertRaises(nbd.Error) as raised:
            call(*arguments, **named)
        self.assertIn(raised.exception.errno, [errno.errorcode[e] for e in expected])

    def extents(self, connection, length, offset, flags=0):
        found = []
        connection.block_status(length, offset, lambda context, start, entries, error: found.extend(entries), flags)
        return list(zip(found[::2], found[1::2]))

    def test_random_operations_against_a_model(self):
        random_ = suite.seeded()
        connection = self.connect()
        base, length = 32 * MiB, 8 * MiB
        model = bytearray(length)
        connection.zero(length, base)
        for step in range(2000):
            count = random_.choice([1, 2, 511, 512, 513, 4095, 4096, 4097, 65535, 65536, 65537,
                                    random_.randrange(1, 200000)])
            at = random_.randrange(0, length - count + 1)
            flags = FUA if random_.random() < 0.05 else 0
            roll = random_.random()
            if roll < 0.45:
                data = random_.randbytes(count)
                connection.pwrite(data, base + at, flags)
                model[at:at + count] = data
            elif roll < 0.6:
                connection.zero(count, base + at, flags | (NO_HOLE if random_.random() < 0.5 else 0))
                model[at:at + count] = bytes(count)
            elif roll < 0.65:
                connection.trim(count, base + at, flags)
                found = connection.pread(count, base + at)  # old bytes or zeros, each; the server is held to it
                self.assertTrue(all(new in (0, old) for new, old in zip(found, model[at:at + count])), step)
                model[at:at + count] = found
            else:
                self.assertEqual(connection.pread(count, base + at), model[at:at + count], (step, at, count))
        self.assertEqual(self.connect(structured=False).pread(length, base), model)

    def test_single_bytes_around_borders_keep_their_neighbours(self):
        connection = self.connect()
        for border in (4096, 4608, 8192, 65536, MiB, 4 * MiB, 16 * MiB):
            connection.pwrite(b"\xaa" * 8192, border - 4096)
            for shift in (-1, 0, 1):
                connection.pwrite(bytes([0x50 + shift]), border + shift)
            expected = bytearray(b"\xaa" * 8192)
            expected[4095:4098] = b"\x4f\x50\x51"
            self.assertEqual(connection.pread(8192, border - 4096), expected, border)

    def test_the_last_byte_is_there_and_nothing_beyond_it(self):
        connection = self.connect()
        connection.pwrite(b"Z", SIZE - 1)
        self.assertEqual(connection.pread(1, SIZE - 1), b"Z")
        beyond = [(SIZE, 1), (SIZE - 1, 2), (SIZE - 256, 512), (1 << 62, 512), ((1 << 63) - 1, 1),
                  ((1 << 64) - 512, 1024), ((1 << 64) - 1, 1)]
        for offset, length in beyond:
            with self.subTest(offset=offset, length=length):
                self.refused([errno.EINVAL], connection.pread, length, offset)
                self.refused([errno.ENOSPC, errno.EINVAL], connection.pwrite, bytes(length), offset)
                self.refused([errno.EINVAL], connection.trim, length, offset)
                self.refused([errno.ENOSPC, errno.EINVAL], connection.zero, length, offset)
                self.refused([errno.EINVAL], connection.cache, length, offset)
                self.refused([errno.EINVAL], self.extents, connection, length, offset)
        self.assertEqual(connection.pread(1, SIZE - 1), b"Z")

    def test_zero_length_requests_are_answered_and_change_nothing(self):
        connection = self.connect()
        connection.pwrite(b"keep" * 128, MiB)
        for call in (lambda: connection.pread(0, MiB), lambda: connection.pwrite(b"", MiB),
                     lambda: connection.trim(0, MiB), lambda: connection.zero(0, MiB),
                     lambda: connection.cache(0, MiB), lambda: self.extents(connection, 0, MiB)):
            try:
                call()
            except nbd.Error as error:
                self.assertEqual(error.errno, "EINVAL")
        self.assertEqual(connection.pread(512, MiB), b"keep" * 128)

    def test_flags_that_a_command_does_not_have_are_refused_before_anything_is_done(self):
        connection = self.connect()
        connection.pwrite(b"old!" * 128, MiB)
        for flags in (NO_HOLE, FAST_ZERO, REQ_ONE, 1 << 9, 1 << 15):
            self.refused([errno.EINVAL], connection.pwrite, b"new!" * 128, MiB, flags)
        self.refused([errno.EINVAL], connection.trim, 512, MiB, FAST_ZERO)
        self.refused([errno.EINVAL], connection.zero, 512, MiB, 1 << 14)
        self.assertEqual(connection.pread(512, MiB), b"old!" * 128)

    def test_zeroing_leaves_holes_unless_told_not_to(self):
        connection = self.connect()
        connection.pwrite(b"\x11" * (4 * MiB), 8 * MiB)
        connection.zero(MiB, 8 * MiB)
        connection.zero(MiB, 9 * MiB, NO_HOLE)
        self.assertEqual(connection.pread(2 * MiB, 8 * MiB), bytes(2 * MiB))
        self.assertEqual(connection.pread(2 * MiB, 10 * MiB), b"\x11" * (2 * MiB))
        entries = self.extents(connection, MiB, 8 * MiB)
        self.assertEqual(sum(length for length, kind in entries if kind & nbd.STATE_HOLE), MiB, entries)
        # No hole: the space stays with the volume. (SEEK_HOLE calls allocated but unwritten space a hole as well, so
        # block status cannot tell; the file's own blocks can.)
        connection.zero(4 * MiB, 8 * MiB)
        connection.flush()
        empty = self.allocated()
        connection.zero(2 * MiB, 8 * MiB, NO_HOLE)
        connection.flush()
        self.assertGreaterEqual(self.allocated() - empty, 2 * MiB)
        self.assertEqual(connection.pread(2 * MiB, 8 * MiB), bytes(2 * MiB))

    def allocated(self):
        """Bytes of disk that the node's files take, all together."""
        return sum(os.stat(os.path.join(folder, name)).st_blocks * 512
                   for folder, _, names in os.walk(self.node.data_dir) for name in names)

    def test_fast_zero_is_done_or_refused_with_the_bytes_untouched(self):
        connection = self.connect()
        connection.pwrite(b"\x22" * 65536, 12 * MiB)
        for offset, length in ((12 * MiB, 65536), (12 * MiB + 100, 700)):
            before = connection.pread(length, offset)
            try:
                connection.zero(length, offset, FAST_ZERO)
                self.assertEqual(connection.pread(length, offset), bytes(length))
            except nbd.Error as error:
                self.assertEqual(error.errno, "ENOTSUP")
                self.assertEqual(connection.pread(length, offset), before)

    def test_block_status_extents(self):
        connection = self.connect()
        connection.trim(4 * MiB, 16 * MiB)
        connection.zero(4 * MiB, 16 * MiB)
        connection.pwrite(b"x" * 65536, 17 * MiB)
        entries = self.extents(connection, 4 * MiB, 16 * MiB)
        self.assertEqual(sum(length for length, _ in entries), 4 * MiB)
        at, data = 16 * MiB, []
        for length, kind in entries:
            if not kind & nbd.STATE_ZERO:
                data.append((at, length))
            at += length
        self.assertEqual(data, [(17 * MiB, 65536)])
        self.assertEqual(len(self.extents(connection, 4 * MiB, 16 * MiB, REQ_ONE)), 1)
        self.assertLessEqual(self.extents(connection, 100, 16 * MiB + 77, REQ_ONE)[0][0], 100)

    def test_structured_reads_tell_holes_and_df_comes_in_one_piece(self):
        connection = self.connect()
        connection.zero(MiB, 20 * MiB)
        connection.pwrite(b"d" * 65536, 20 * MiB + 131072)
        for flags in (0, DF):
            chunks = []
            data = connection.pread_structured(MiB, 20 * MiB, lambda piece, offset, kind, error:
                                               chunks.append((offset, len(piece), kind)), flags)
            self.assertEqual(data[131072:131072 + 65536], b"d" * 65536)
            self.assertEqual(bytes(data[:131072]), bytes(131072))
            if flags == DF:
                self.assertEqual(len(chunks), 1)
            else:
                self.assertIn(nbd.READ_HOLE, [kind for _, _, kind in chunks])

    def test_reads_larger_than_the_announced_maximum_get_an_error_and_the_connection_lives(self):
        connection = self.connect()
        maximum = connection.get_block_size(nbd.SIZE_MAXIMUM)
        self.assertEqual(len(connection.pread(min(maximum, SIZE), 0)), min(maximum, SIZE))
        if maximum < SIZE:
            self.refused([errno.EINVAL, errno.EOVERFLOW, errno.ENOMEM], connection.pread, maximum + 4096, 0)
        self.assertEqual(len(connection.pread(4096, 0)), 4096)

    def test_what_one_connection_flushed_another_sees(self):
        writers = [self.connect() for _ in range(4)]
        self.assertTrue(writers[0].can_multi_conn())
        for index, writer in enumerate(writers):
            writer.pwrite(bytes([index + 1]) * 4096, 24 * MiB + index * 4096)
        writers[0].flush()               # covers what the other three have been answered
        reader = self.connect(structured=False)
        for index in range(4):
            self.assertEqual(reader.pread(4096, 24 * MiB + index * 4096), bytes([index + 1]) * 4096)

    def test_writers_of_parts_of_one_block_lose_nothing_to_each_other(self):
        """The read-modify-write of O_DIRECT volumes: eight writers own one eighth of every block each."""
        base, blocks, part = 28 * MiB, 64, 512
        self.connect().zero(blocks * 4096, base)
        errors = []

        def write(index):
            try:
                connection = nbd.NBD()
                connection.connect_uri(self.uri)
                for round_ in range(1, 4):
                    for block in range(blocks):
                        connection.pwrite(bytes([index * 16 + round_]) * part, base + block * 4096 + index * part)
                connection.shutdown()
            except nbd.Error as error:
                errors.append(error)
        threads = [threading.Thread(target=write, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        expected = b"".join(bytes([index * 16 + 3]) * part for index in range(8)) * blocks
        self.assertEqual(self.connect().pread(blocks * 4096, base), expected)

    def test_many_requests_at_once_are_all_answered(self):
        connection = self.connect()
        answers = []
        buffers = []
        for index in range(2000):
            buffer = nbd.Buffer(512)
            buffers.append(buffer)
            connection.aio_pread(buffer, (index * 4096) % SIZE, completion=lambda error: answers.append(error.value) or 1)
            if index % 100 == 99:
                connection.aio_flush(completion=lambda error: answers.append(error.value) or 1)
        while connection.aio_in_flight() > 0:
            connection.poll(-1)
        self.assertEqual(answers, [0] * 2020)

    def test_a_read_only_export_name_or_a_qualifier_nobody_granted_is_refused(self):
        for export in ("db@snapshot:none", "db@shadow:beta", "db@", "db@nonsense", "@instance:x", "x" * 4097):
            refused = node.run(["nbdinfo", "--size", self.node.uri(export, self.listener)], check=False)
            self.assertNotEqual(refused.returncode, 0, export)


class access(suite.OneNode, suite.unittest.TestCase):
    """Two instances and what each may open."""
    config = {"instances": [{"id": "web-1", "volumes": ["db"]}, {"id": "web-2", "volumes": []}]}

    def size_of(self, export):
        return node.run(["nbdinfo", "--size", self.node.uri(export)], check=False)

    def test_an_export_opens_only_to_an_instance_whose_config_lists_it(self):
        self.assertEqual(self.size_of("db@instance:web-1").stdout.strip(), str(SIZE))
        for export in ("db@instance:web-2", "db@instance:nobody", "db"):
            self.assertNotEqual(self.size_of(export).returncode, 0, export)

    def test_one_writing_instance_per_volume(self):
        """Read-only use beside a writer is fine for the same instance; several connections of it are, too."""
        first, second = nbd.NBD(), nbd.NBD()
        first.connect_uri(self.node.uri("db@instance:web-1"))
        second.connect_uri(self.node.uri("db@instance:web-1"))
        first.pwrite(b"1" * 512, 0)
        self.assertEqual(second.pread(512, 0), b"1" * 512)


if __name__ == "__main__":
    suite.main()
