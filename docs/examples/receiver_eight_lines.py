import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from coursebell_receiver import receive


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_error(receive(self.headers, body, os.environ["WEBHOOK_SECRET"], print))


HTTPServer(("127.0.0.1", 9000), Receiver).serve_forever()
