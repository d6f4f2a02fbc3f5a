"""The NBD protocol by hand, for what no well-behaved client does: half requests, abrupt ends, silence.

Constants and layouts: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
"""
import socket
import struct

OPTION_MAGIC = 0x49484156454F5054
OPTION_REPLY_MAGIC = 0x3E889045565A9
REQUEST_MAGIC = 0x25609513
SIMPLE_REPLY_MAGIC = 0x67446698
OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_GO, OPT_STRUCTURED = 1, 2, 3, 7, 8
REP_ACK, REP_INFO, REP_ERROR_BIT = 1, 3, 1 << 31
READ, WRITE, DISCONNECT, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS = range(8)


def receive(plain, count):
    """Exactly count bytes; EOFError if the server closes before."""
    parts = bytearray()
    while len(parts) < count:
        more = plain.recv(count - len(parts))
        if not more:
            raise EOFError(f"closed after {len(parts)} of {count} bytes")
        parts += more
    return bytes(parts)


def greet(plain):
    """Reads the greeting and sends the client flags FIXED_NEWSTYLE | NO_ZEROES."""
    greeting = receive(plain, 18)
    assert greeting[:16] == b"NBDMAGICIHAVEOPT", greeting
    plain.sendall(struct.pack(">I", 3))


def option(number, payload=b""):
    return struct.pack(">QII", OPTION_MAGIC, number, len(payload)) + payload


def option_reply(plain):
    magic, number, kind, length = struct.unpack(">QIII", receive(plain, 20))
    assert magic == OPTION_REPLY_MAGIC, hex(magic)
    return number, kind, receive(plain, length)


def go(plain, export):
    """Greets and opens an export; returns (size, transmission flags)."""
    greet(plain)
    name = export.encode()
    plain.sendall(option(OPT_GO, struct.pack(">I", len(name)) + name + struct.pack(">H", 0)))
    size = flags = None
    while True:
        _, kind, payload = option_reply(plain)
        if kind == REP_INFO and struct.unpack(">H", payload[:2])[0] == 0:
            _, size, flags = struct.unpack(">HQH", payload)
        elif kind == REP_ACK:
            return size, flags
        elif kind & REP_ERROR_BIT:
            raise ConnectionRefusedError(f"{hex(kind)} {payload!r}")


def request(command, offset=0, length=0, cookie=0, flags=0, payload=b""):
    return struct.pack(">IHHQQI", REQUEST_MAGIC, flags, command, cookie, offset, length) + payload


def simple_reply(plain, length=0):
    """(error, cookie, data) of one simple reply; data only without an error."""
    magic, error, cookie = struct.unpack(">IIQ", receive(plain, 16))
    assert magic == SIMPLE_REPLY_MAGIC, hex(magic)
    return error, cookie, receive(plain, length) if length and not error else b""


def reset(plain):
    """Ends the connection with a RST instead of a FIN (TCP; a Unix socket just closes)."""
    try:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    plain.close()
