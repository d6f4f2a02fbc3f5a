#!/usr/bin/python3
"""Events against a real node: the command line and HTTP, what kill -9 leaves, and bodies that mean harm."""
import gzip
import http.client
import json
import socket
import threading
import unittest

import node
import suite

GOOD = {"type": "deployment", "target": "volume:db", "start": "2033-05-18T03:33:20Z", "duration": "10m", "note": "v42"}


def call(served, method, path, body=None, headers=None):
    """(status, JSON or None, headers) of one request on a connection of its own."""
    link = http.client.HTTPConnection(served.ready["admin"], timeout=120)
    try:
        link.request(method, path, body if body is None or isinstance(body, (bytes, str)) else json.dumps(body),
                     headers or {})
        answer = link.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None, dict(answer.getheaders())
    finally:
        link.close()


def raw(served, request, limit=120):
    """What the listener answers to these bytes, until it closes the connection or half a second after its first word."""
    host, port = served.ready["admin"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=limit) as link:
        try:
            link.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the endpoint has read enough
        said = b""
        try:
            while True:
                more = link.recv(65536)
                if not more:
                    return said
                said += more
                link.settimeout(0.5)
        except (socket.timeout, ConnectionResetError):
            return said


def ids(served, query=""):
    return [event["id"] for event in call(served, "GET", "/v1/events" + query)[1]["events"]]


class load_events(suite.OneNode, unittest.TestCase):
    def tearDown(self):
        for number in ids(self.node):
            call(self.node, "DELETE", f"/v1/events/{number}")
        super().tearDown()

    def test_the_command_line_adds_lists_and_removes(self):
        made = self.node.cli_json("event", "add", "--type", "nightly backup", "--volume", "db", "--start", "in 2h",
                                  "--duration", "30m", "--note", "full")
        self.assertEqual((made["type"], made["target"], made["duration"], made["note"], made["source"], made["past"]),
                         ("nightly backup", "volume:db", "30m", "full", "cli", False))
        for target in (["--instance", "web-1"], ["--application", "the shop"], ["--everything"]):
            self.node.cli("event", "add", "--type", "x", *target, "--start", "2h ago", "--duration", "0s")
        self.assertEqual(len(self.node.cli_json("event", "ls")), 4)
        self.assertEqual(self.node.cli_json("event", "ls", "--planned"), [made])
        self.assertEqual({e["target"] for e in self.node.cli_json("event", "ls", "--past")},
                         {"instance:web-1", "application:the shop", "everything"})
        table = self.node.cli("event", "ls").stdout
        self.assertIn("nightly backup", table)
        self.assertIn("planned", table)
        self.assertEqual(self.node.cli_json("event", "rm", str(made["id"]))["id"], made["id"])
        again = self.node.cli("event", "rm", str(made["id"]), check=False)
        self.assertEqual((again.returncode, "not_found" in again.stderr), (1, True))
        for wrong in (["--start", "2h"], ["--duration", "1w"], ["--volume", "a b"], ["--type", ""]):
            words = {"--type": "x", "--volume": "db", "--start": "now", "--duration": "1m", wrong[0]: wrong[1]}
            refused = self.node.cli("event", "add", *sum(([k, v] for k, v in words.items()), []), check=False)
            self.assertEqual(refused.returncode, 2, wrong)

    def test_http_adds_lists_and_removes_and_the_command_line_sees_it(self):
        status, answer, _ = call(self.node, "POST", "/v1/events", GOOD)
        self.assertEqual(status, 201)
        made = answer["events"][0]
        self.assertEqual({k: made[k] for k in GOOD}, GOOD)
        self.assertEqual((made["end"], made["source"]), ("2033-05-18T03:43:20Z", "http"))
        batch = [dict(GOOD, target=t, start=s) for t, s in (("instance:web", "2033-05-18T05:00:00+01:00"),
                                                            ("everything", "1h ago"))]
        status, answer, _ = call(self.node, "POST", "/v1/events", batch)
        self.assertEqual((status, len(answer["events"])), (201, 2))
        web, past = (event["id"] for event in answer["events"])
        self.assertEqual([event["id"] for event in self.node.cli_json("event", "ls")], [past, made["id"], web])
        self.assertEqual(ids(self.node), [past, made["id"], web])
        self.assertEqual(ids(self.node, "?target=volume:db"), [made["id"]])
        self.assertEqual(ids(self.node, "?from=2033-05-18T03:43:20Z"), [web])
        self.assertEqual(ids(self.node, "?from=2033-05-18T03:43:19Z&to=2033-05-18T04:00:00Z"), [made["id"]])
        self.assertEqual(ids(self.node, "?to=now"), [past])
        status, gone, _ = call(self.node, "DELETE", f"/v1/events/{web}")
        self.assertEqual((status, gone["id"]), (200, web))
        self.assertEqual(call(self.node, "DELETE", f"/v1/events/{web}")[0], 404)
        self.assertEqual(ids(self.node), [past, made["id"]])

    def test_everything_that_is_wrong_is_named_and_nothing_is_kept(self):
        status, answer, _ = call(self.node, "POST", "/v1/events",
                                 [GOOD, {"typ": "x", "target": "db", "start": "2h", "duration": 600}, 7])
        self.assertEqual(status, 400)
        self.assertEqual({(e["pointer"], e["nearest"]) for e in answer["errors"]},
                         {("/1/typ", "type"), ("/1/target", "volume:db"), ("/1/start", "in 2h"),
                          ("/1/duration", "600s"), ("/2", None)})
        for body in (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"type":"a","type":"b"}', b"[" * 100_000, b"{}" * 9,
                     json.dumps(dict(GOOD, start="2033-05-18T03:33:20")), json.dumps(dict(GOOD, extra=1)),
                     json.dumps(dict(GOOD, type="x" * 65)), json.dumps(dict(GOOD, note="x" * 257)),
                     json.dumps(dict(GOOD, note="a\u0007b")), json.dumps(dict(GOOD, duration="-1m")),
                     json.dumps(dict(GOOD, duration="367d")), json.dumps(dict(GOOD, target="volume:../x"))):
            status, answer, _ = call(self.node, "POST", "/v1/events", body)
            self.assertEqual(status, 400, body[:80])
            self.assertTrue(answer["errors"][0]["message"])
        for query in ("?from=yesterday", "?until=now", "?target=db", "?from=now&from=1h%20ago", "?from=in%202h&to=now"):
            self.assertEqual(call(self.node, "GET", "/v1/events" + query)[0], 400, query)
        for number in ("x", "-1", "1e3", "99999999999999999999999", "1%00", "1%0a", "1/2"):
            self.assertEqual(call(self.node, "DELETE", f"/v1/events/{number}")[0], 400, number)
        self.assertEqual(ids(self.node), [])

    def test_limits_of_one_request(self):
        status, answer, _ = call(self.node, "POST", "/v1/events", [GOOD] * 1000)
        self.assertEqual((status, len(answer["events"])), (201, 1000))
        self.assertEqual(len(set(ids(self.node))), 1000)
        self.assertEqual(call(self.node, "POST", "/v1/events", [GOOD] * 1001)[0], 413)
        self.assertEqual(call(self.node, "POST", "/v1/events", b" " * ((1 << 20) + 1))[0], 413)
        bomb = gzip.compress(b" " * (64 << 20))
        self.assertEqual(call(self.node, "POST", "/v1/events", bomb, {"Content-Encoding": "gzip"})[0], 415)
        before = self.node.rss_bytes()
        piece = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
        said = raw(self.node, b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + piece * 64)
        self.assertIn(said.split(b"\r\n")[0], (b"", b"HTTP/1.1 413 Payload Too Large"))
        self.assertLess(self.node.rss_bytes() - before, 32 << 20)
        self.assertEqual(len(ids(self.node)), 1000)

    def test_other_methods_paths_and_web_pages_are_refused(self):
        for method, path, status in (("PUT", "/v1/events", 405), ("DELETE", "/v1/events", 405),
                                     ("POST", "/metrics", 405), ("POST", "/nothing", 404), ("GET", "/v1/events/1", 405),
                                     ("GET", "/v1/eventsx", 404), ("DELETE", "/v1/events/", 404),
                                     ("DELETE", "/v1/events/" + "1" * 65, 404)):
            self.assertEqual(call(self.node, method, path, b"x" * 1000)[0], status, (method, path))
        self.assertEqual(call(self.node, "POST", "/v1/events", GOOD, {"Origin": "http://evil.example"})[0], 403)
        self.assertEqual(call(self.node, "POST", "/v1/events", b"--b\r\n",
                              {"Content-Type": "multipart/form-data; boundary=b"})[0], 415)
        self.assertEqual(ids(self.node), [])

    def test_random_bytes_do_no_harm(self):
        random = suite.seeded()
        text = json.dumps([GOOD, GOOD]).encode()
        for _ in range(300):
            body = bytearray(text)
            for _ in range(random.randrange(1, 6)):
                at = random.randrange(len(body))
                body[at:at + random.randrange(3)] = random.randbytes(random.randrange(3))
            status = call(self.node, "POST", "/v1/events", bytes(body))[0]
            self.assertIn(status, (201, 400))
        for _ in range(30):
            raw(self.node, random.randbytes(random.randrange(1, 400)) + b"\r\n\r\n")
        for event in self.node.cli_json("event", "ls"):
            self.assertTrue(0 < len(event["type"].encode()) <= 64)

    def test_a_killed_calendar_comes_back_with_everything(self):
        made = call(self.node, "POST", "/v1/events", GOOD)[1]["events"][0]["id"]
        self.node.cli("ask", "calendar", "kill")
        self.assertEqual(ids(self.node), [made])  # reading needs no actor

        def told():
            status, answer, headers = call(self.node, "POST", "/v1/events", GOOD)
            self.assertIn(status, (201, 503))
            if status == 503:
                self.assertEqual(headers["Retry-After"], "1")
            return status == 201 and answer["events"][0]["id"]

        again = node.wait_until(told, 60, "the calendar is back")
        self.assertGreater(again, made)
        self.assertIn(made, ids(self.node))
        self.assertEqual(self.node.cli("ask", "calendar", "count").stdout.strip().split(",")[0], "0 past")


class lasting(unittest.TestCase):
    def test_what_was_acknowledged_survives_kill_9(self):
        random = suite.seeded()
        served = node.Node({"db": 8 * node.MiB})
        kept, removed, ever, twice = set(), set(), set(), []
        for _ in range(4):
            served.start()
            self.assertTrue(kept <= set(ids(served)), kept - set(ids(served)))
            self.assertFalse(removed & set(ids(served)))
            stop = threading.Event()

            def tell():
                while not stop.is_set():
                    try:
                        status, answer, _ = call(served, "POST", "/v1/events", [GOOD, GOOD])
                        if status == 201:
                            new = [event["id"] for event in answer["events"]]
                            twice.extend(ever & set(new))
                            ever.update(new)
                            kept.update(new)
                            removed_now = new[0]
                            kept.discard(removed_now)  # unknown until it is answered
                            if call(served, "DELETE", f"/v1/events/{removed_now}")[0] == 200:
                                removed.add(removed_now)
                    except (OSError, http.client.HTTPException, ValueError):
                        pass

            teller = threading.Thread(target=tell)
            had = len(kept)
            teller.start()
            node.wait_until(lambda: len(kept) > had + random.randrange(5, 40), 120, "some are told")
            served.kill()
            stop.set()
            teller.join()
        served.start()
        self.assertTrue(kept <= set(ids(served)))
        self.assertFalse(removed & set(ids(served)))
        self.assertGreater(call(served, "POST", "/v1/events", GOOD)[1]["events"][0]["id"], max(ever))
        self.assertEqual(twice, [])
        self.assertEqual(served.stop(), 0)

    def test_a_full_calendar_forgets_what_is_past_and_refuses_what_it_would_have_to_forget_else(self):
        served = node.Node({"db": 8 * node.MiB}).start()
        past = dict(GOOD, start="2h ago")
        first = call(served, "POST", "/v1/events", [past] * 5 + [GOOD] * 995)[1]["events"]
        for _ in range(9):
            self.assertEqual(call(served, "POST", "/v1/events", [GOOD] * 1000)[0], 201)
        self.assertEqual(len(served.cli_json("event", "ls")), 10_000)
        status, answer, _ = call(served, "POST", "/v1/events", [GOOD] * 3)
        self.assertEqual((status, answer["forgotten"]), (201, 3))
        left = set(ids(served))
        self.assertEqual(len(left), 10_000)
        self.assertTrue({event["id"] for event in first[5:]} <= left)
        self.assertEqual(call(served, "POST", "/v1/events", [GOOD] * 3)[0], 409)
        told = served.cli("event", "add", "--type", "x", "--everything", "--start", "now", "--duration", "1h")
        self.assertIn("1 oldest past event", told.stdout)
        self.assertEqual(set(ids(served)) & {event["id"] for event in first[:5]}, {first[4]["id"]})
        self.assertEqual(served.stop(), 0)
        served.start()
        self.assertEqual(len(ids(served)), 10_000)
        self.assertEqual(served.stop(), 0)


if __name__ == "__main__":
    suite.main()
