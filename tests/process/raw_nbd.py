"""The NBD protocol by hand, for what no well-behaved client does: half requests, abrupt ends, silence.

Constants and layouts: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
"""
import socket
import struct

OPTION_MAGIC = 0x49484156454F5054
OPTION_REPLY_MAGIC = 0x3E889045565A9
REQUEST_MAGIC = 0x25609513
SIMPLE_REPLY_MAGIC = 0x67446698
EXTENDED_REQUEST_MAGIC = 0x21E41C71
EXTENDED_REPLY_MAGIC = 0x6E8A278C
OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_GO, OPT_STRUCTURED, OPT_SET_CONTEXT, OPT_EXTENDED = 1, 2, 3, 7, 8, 10, 11
REP_ACK, REP_INFO, REP_CONTEXT, REP_ERROR_BIT = 1, 3, 4, 1 << 31
READ, WRITE, DISCONNECT, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO, PAYLOAD = 1, 2, 4, 8, 16, 32
CHUNK_NONE, CHUNK_DATA, CHUNK_HOLE, CHUNK_STATUS, CHUNK_STATUS_EXTENDED, CHUNK_ERROR = 0, 1, 2, 5, 6, 0x8001


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
    return send_go(plain, export)


def send_go(plain, export):
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


def open_extended(plain, export, contexts=("base:allocation",)):
    """Greets, agrees on extended headers and contexts, opens; returns (size, transmission flags, {context: id})."""
    greet(plain)
    plain.sendall(option(OPT_EXTENDED))
    number, kind, payload = option_reply(plain)
    assert (number, kind, payload) == (OPT_EXTENDED, REP_ACK, b""), (number, hex(kind), payload)
    ids = {}
    if contexts:
        name = export.encode()
        queries = b"".join(struct.pack(">I", len(query)) + query for query in map(str.encode, contexts))
        plain.sendall(option(OPT_SET_CONTEXT,
                             struct.pack(">I", len(name)) + name + struct.pack(">I", len(contexts)) + queries))
        while True:
            _, kind, payload = option_reply(plain)
            if kind == REP_ACK:
                break
            assert kind == REP_CONTEXT, (hex(kind), payload)
            ids[payload[4:].decode()] = struct.unpack(">I", payload[:4])[0]
    return *send_go(plain, export), ids


def extended_request(command, offset=0, length=0, cookie=0, flags=0, payload=b""):
    """A payload sets its flag and length by itself."""
    if payload:
        flags, length = flags | PAYLOAD, len(payload)
    return struct.pack(">IHHQQQ", EXTENDED_REQUEST_MAGIC, flags, command, cookie, offset, length) + payload


def extended_reply(plain):
    """(cookie, offset, [(type, payload)]) of one reply; every chunk must name the same cookie and offset."""
    seen, chunks = None, []
    while True:
        magic, flags, kind, cookie, offset, length = struct.unpack(">IHHQQQ", receive(plain, 32))
        assert magic == EXTENDED_REPLY_MAGIC, hex(magic)
        assert seen in (None, (cookie, offset)), (seen, cookie, offset)
        seen = (cookie, offset)
        chunks.append((kind, receive(plain, length)))
        if flags & 1:
            return cookie, offset, chunks


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
