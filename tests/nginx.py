"""A real nginx in front of foreman, with no other settings than those of its default file."""

import os
import shutil
import socket
from pathlib import Path

from foreman.embedded.probe import free_port
from foreman.embedded.processes import Command
from foreman.embedded.waiting import StartFailed
from tests.servers import Server

# What Debian's own nginx.conf sets, besides logs, users and TLS.
_CONFIG = """\
daemon off;
pid {home}/nginx.pid;
error_log stderr;
worker_processes 1;
events {{ worker_connections 768; }}
http {{
    sendfile on;
    tcp_nopush on;
    gzip on;
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {content}
    }}
}}
"""


class NginxServer(Server):
    """A proxy with one `server`, whose content is given."""

    def __init__(self, content: str) -> None:
        reason = nginx_missing()
        if reason:
            raise StartFailed(reason)
        super().__init__("nginx")
        self.port = free_port()
        self._content = content
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Command:
        home = self.places.data
        config = home / "nginx.conf"
        config.write_text(_CONFIG.format(home=home, port=self.port, content=self._content))
        argv = (str(_program()), "-c", str(config), "-p", str(home), "-e", "stderr")
        env = {"PATH": os.environ["PATH"]}
        return Command(name="nginx", argv=argv, env=env, log=self.places.log("nginx"))

    def is_ready(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0


def nginx_missing() -> str | None:
    """Return why NginxServer cannot be started here, or None when it can."""
    return None if _program() else "nginx is not installed (bin/test installs it as root on Debian)"


def _program() -> Path | None:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None
