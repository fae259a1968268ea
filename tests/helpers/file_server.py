"""A server of files on localhost, in place of public repositories."""

import functools
import http.server
import threading
from contextlib import contextmanager


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder on localhost and writes down what was asked for."""

    def __init__(self, folder):
        asked = self.asked = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_request(self, *_):
                asked.append(self.path)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(folder):
    """Run a server of a new folder, which is its attribute `folder`."""
    folder.mkdir()
    with Server(folder) as running:
        running.folder = folder
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()
