"""A server of map tiles in a process of its own: red is the zoom, green and blue are column and row of the tile.

python tile_server.py [STATUS]   prints its port; answers every tile with STATUS, 200 unless given
"""

import http.server
import re
import struct
import sys
import time
import zlib

STATUS = int(sys.argv[1]) if len(sys.argv) > 1 else 200
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0


def png(color):
    """Return a PNG of 256 x 256 pixels of one colour."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(color) * 256) * 256
    head = struct.pack(">IIBBBBB", 256, 256, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = re.fullmatch(r"/(\d+)/(\d+)/(\d+)\.png", self.path)
        time.sleep(SECONDS)
        self.send_response(STATUS if found else 404)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        if found and STATUS == 200:
            zoom, column, row = map(int, found.groups())
            self.wfile.write(png((zoom, column % 256, row % 256)))

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
