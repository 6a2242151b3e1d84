"""How a file on a server is told from a changed one."""

from __future__ import annotations

import http.server
import os
import threading

import pytest

from wsss_geo.errors import EnvironmentFault
from wsss_geo.raster import remote
from wsss_geo.raster.remote import changed, stamp


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers as its server's ``replies`` say, the last of them for ever: status and headers."""

    def do_GET(self):
        self.server.asked.append((self.command, self.headers["Range"]))
        replies = self.server.replies
        status, headers = replies.pop(0) if len(replies) > 1 else replies[0]
        self.send_response(status)
        for name, value in {"Content-Length": "1", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"x")

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(remote, "_PAUSES", (0.0, 0.0))
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    found.asked, found.address = [], f"http://127.0.0.1:{found.server_port}/a.tif?sig=1"
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def part(**headers):
    return 206, {"Content-Range": "bytes 0-0/900", **{k.replace("_", "-"): v for k, v in headers.items()}}


def test_one_byte_tells_size_and_tag(server):
    server.replies = [part(etag='"a"', Last_Modified="Sat, 01 Aug 2026 00:00:00 GMT")]
    noted = stamp(server.address)
    assert noted == {"path": server.address, "bytes": "900", "etag": '"a"'}
    assert server.asked == [("GET", "bytes=0-0")]
    assert not changed([noted])
    assert {**stamp(f"/vsicurl/{server.address}"), "path": ""} == {**noted, "path": ""}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (part(ETag='"a"'), part(ETag='"b"')),
        (part(Last_Modified="Sat, 01 Aug 2026 00:00:00 GMT"), part(Last_Modified="Sun, 02 Aug 2026 00:00:00 GMT")),
        (part(), (206, {"Content-Range": "bytes 0-0/901"})),
        (part(ETag='"a"'), (404, {})),
    ],
)
def test_another_state_is_a_change(server, before, after):
    server.replies = [before, after]
    assert changed([stamp(server.address)]) == [server.address]


def test_the_time_does_not_count_where_the_content_has_a_tag(server):
    server.replies = [part(ETag='"a"', Last_Modified="yesterday"), part(ETag='"a"', Last_Modified="today")]
    assert not changed([stamp(server.address)])


@pytest.mark.parametrize("refusal", [(403, {}), (405, {}), (200, {})])
def test_a_server_that_does_not_tell_changes_nothing(server, refusal):
    server.replies = [part(ETag='"a"'), refusal, part(ETag='"a"')]
    noted = stamp(server.address)
    assert not changed([noted])
    server.replies = [refusal, part(ETag='"a"')]
    untold = stamp(server.address)
    assert untold == {"path": server.address}
    assert not changed([untold])


def test_a_busy_server_is_asked_again_and_a_dead_one_named(server):
    server.replies = [(503, {}), (429, {}), part(ETag='"a"')]
    assert stamp(server.address)["etag"] == '"a"'
    server.replies = [(503, {})]
    with pytest.raises(EnvironmentFault, match=r"a\.tif: the server does not answer \(HTTP 503\)") as caught:
        stamp(server.address)
    assert "sig" not in str(caught.value)


def test_a_port_without_server(server):
    with pytest.raises(EnvironmentFault, match="does not answer"):
        stamp("http://127.0.0.1:1/a.tif")


def test_local_files_by_size_and_time(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"123")
    noted = stamp(str(path))
    assert noted["bytes"] == 3
    assert not changed([noted])
    os.utime(path, ns=(1, 1))
    assert changed([noted])
    path.unlink()
    assert changed([noted])
