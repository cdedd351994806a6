"""Requests and mails that are made to be slow to parse: each is small, legal enough to be accepted, and costs a parser far more than its size."""

import gzip
import json
from collections.abc import Iterator

import zstandard

SIZE = 400_000


def mails() -> Iterator[tuple[str, bytes]]:
    """Yield mails by name. Each has the subject `Backup finished successfully`, which must not be believed of one that is not read to its end."""
    head = b"Subject: Backup finished successfully\r\nFrom: nas@example.org\r\nMIME-Version: 1.0\r\n"
    for depth, name in ((300, "nested"), (14, "nested within the limit")):
        opened = b"".join(
            b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(depth)
        )
        yield name, head + opened + b"\r\n" + b"a\r\n" * (SIZE // 3)
    yield "headers", head + b"".join(b"X-%d: a\r\n" % n for n in range(SIZE // 12)) + b"\r\nok\r\n"
    yield (
        "headers of a part",
        head + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + b"a:\n" * (SIZE // 3),
    )
    yield "one long header", head + b"X: " + b"a\r\n " * (SIZE // 4) + b"\r\n\r\nok\r\n"
    yield "parts", head + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\na\r\n" * (SIZE // 10)
    yield "long boundary", head + b"Content-Type: multipart/mixed; boundary=" + b"b" * 5000 + b"\r\n\r\n" + b"-" * SIZE
    yield "mails within mails", head + b"Content-Type: message/rfc822\r\n\r\n" * (SIZE // 30)
    yield "lines", head + b"\r\n" + b"\n" * SIZE
    yield "tags", head + b"Content-Type: text/html\r\n\r\n" + b"<b" * (SIZE // 2)
    yield "encoded words", head + b"X: a\r\nSubject: " + b"=?utf-8?q?" * 3000 + b"\r\n\r\nok\r\n"


def json_bodies() -> Iterator[tuple[str, bytes]]:
    """Yield bodies of POST /v1/events by name."""
    yield "deep lists", b"[" * SIZE
    yield "deep objects", b'{"extra":' * (SIZE // 9)
    yield "a huge number", b'{"agent":"a","metrics":{"n":' + b"9" * SIZE + b"}}"
    yield "many keys", json.dumps({"agent": "a", "job": "j", "extra": {str(n): n for n in range(SIZE // 14)}}).encode()
    yield (
        "many labels",
        json.dumps({"agent": "a", "job": "j", "labels": {str(n): "x" for n in range(SIZE // 16)}}).encode(),
    )
    yield "the same key", b'{"agent":"a",' + b'"job":"j",' * (SIZE // 10) + b'"outcome":"failure"}'
    yield "a long string", json.dumps({"agent": "a", "job": "j", "log": "\u2028\x1b[" * (SIZE // 10)}).encode()
    yield "empty events", b"[" + b"{}," * (SIZE // 3) + b"{}]"
    yield "small events", b"[" + b",".join([b'{"agent":"a","job":"j","outcome":"success"}'] * 9000) + b"]"
    yield "numbers", b"[" + b"1," * 9_999 + b"1]"
    failure = {"job": "j", "outcome": "failure", "labels": {"a": "b"}, "metrics": {"bytes": 1}}
    new = [failure | {"agent": f"host{n}", "job": f"job{n}"} for n in range(10_000)]
    yield "failures of new agents", json.dumps(new).encode()
    yield "long messages", json.dumps([failure | {"agent": "a", "message": "x" * 1_300}] * 10_000).encode()
    yield "all of them refused", json.dumps([failure | {"agent": ""}] * 10_000).encode()


def packed_bodies() -> Iterator[tuple[str, bytes]]:
    """Yield packed bodies of 20 MiB by their Content-Encoding."""
    yield "gzip", gzip.compress(bytes(20 * 1024 * 1024))
    yield "zstd", zstandard.compress(bytes(20 * 1024 * 1024))


def tool_bodies() -> Iterator[tuple[str, str, bytes]]:
    """Yield the endpoint, content type and body of requests of other tools."""
    for piece in (
        b"ok no 0 ",
        b"E /",
        b"\x00",
        b"no error ",
        b"Failed Entries:\n - a\n",
        b"<td>",
        b"100: ERROR: ",
        b"a failed on: ",
    ):
        for size in (1_800, 200_000):
            body = piece * (size // len(piece))
            yield "/ping/{uuid}", "text/plain", body
            yield "/in/restic/{key}", "text/plain", body
            yield "/in/ntfy/{key}", "text/plain", body
            yield "/in/apprise/{key}", "application/json", json.dumps({"title": "x", "message": body.decode()}).encode()
    yield (
        "/in/apprise/{key}",
        "multipart/form-data; boundary=b",
        b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n" * 9000,
    )
    yield "/in/apprise/{key}", "application/x-www-form-urlencoded", b"a=%e2%80&" * 40_000
    yield "/in/apprise/{key}", "application/xml", b"<a>" * 100_000
    alerts = [{"labels": {"alertname": str(n)}, "annotations": {"summary": "no error " * 20}} for n in range(900)]
    yield "/in/alertmanager/{key}", "application/json", json.dumps({"alerts": alerts}).encode()
    values = [[str(n), "E no error failed " * 10] for n in range(2000)]
    yield (
        "/in/loki/{key}/loki/api/v1/push",
        "application/json",
        json.dumps({"streams": [{"stream": {}, "values": values}]}).encode(),
    )
    yield "/in/cloudevents/{key}", "application/cloudevents-batch+json", b"[" + b"{}," * 90_000 + b"{}]"
