"""A port of the loopback that takes connections for as long as it is entered."""

import socket
import threading


class Listener:
    """Whoever inherits has a `port` and a `_serve`, which gets each connection on a thread of its own."""

    port: int

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket):
        raise NotImplementedError
