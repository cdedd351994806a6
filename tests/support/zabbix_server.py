"""Runs a real Zabbix server with its frontend's API, on a PostgreSQL of its own."""

import gzip
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.ports import lasting_port
from tests.support.postgres import Cluster
from tests.support.running import CLIENT, wait_until

FRONTEND = Path("/usr/share/zabbix")  # Debian's zabbix-frontend-php
SQL = Path("/usr/share/zabbix-server-pgsql")
_SERVER = """\
LogFile={folder}/server.log
PidFile={folder}/server.pid
SocketDir={sockets}
DBHost=127.0.0.1
DBPort={db}
DBName=zabbix
DBUser=postgres
ListenIP=127.0.0.1
ListenPort={port}
AllowRoot=1
CacheUpdateFrequency=1
StartPollers=2
StartPreprocessors=1
StartLLDProcessors=1
"""
_CONFIG = """\
<?php
$DB = ['TYPE' => 'POSTGRESQL', 'SERVER' => '127.0.0.1', 'PORT' => '{db}', 'DATABASE' => 'zabbix', 'USER' => 'postgres',
  'PASSWORD' => '', 'SCHEMA' => '', 'ENCRYPTION' => false, 'DOUBLE_IEEE754' => true];
$ZBX_SERVER = '127.0.0.1'; $ZBX_SERVER_PORT = '{port}'; $ZBX_SERVER_NAME = 'test'; $IMAGE_FORMAT_DEFAULT = 'PNG';
"""


@dataclass
class Zabbix:
    """A Zabbix that runs."""

    url: str
    port: int
    _auth: str | None = field(default=None, repr=False)

    def call(self, method: str, **params: Any) -> Any:
        """Call a method of the API, signed in. Raises AssertionError with what Zabbix answers."""
        if self._auth is None and method != "user.login":
            self._auth = self.call("user.login", username="Admin", password="zabbix")
        body = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1, "auth": self._auth}
        answer = CLIENT.post(f"{self.url}/api_jsonrpc.php", json=body, timeout=60).raise_for_status().json()
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def problems(self) -> list[str]:
        """Return the names of the problems that are open."""
        return sorted(one["name"] for one in self.call("problem.get", output=["name"]))


@contextmanager
def zabbix(folder: Path) -> Iterator[Zabbix]:
    """Start PostgreSQL, the server and the frontend, and stop them at the end."""
    folder.mkdir()
    # The path of a socket has at most 107 characters, and the folder of a test can be longer than that.
    with tempfile.TemporaryDirectory(prefix="zabbix-", dir="/tmp") as sockets, Cluster() as cluster:
        cluster.create_database("zabbix")
        for name in ("schema", "images", "data"):
            script = folder / f"{name}.sql"
            script.write_bytes(gzip.decompress((SQL / f"{name}.sql.gz").read_bytes()))
            cluster.run_script(script, "zabbix")
        port, web = lasting_port(), lasting_port()
        # The package reads its settings from one file in /etc: a copy of the frontend reads them from this folder.
        shutil.copytree(FRONTEND, folder / "web", ignore=shutil.ignore_patterns("locale", "audio", "certs", "COPYING"))
        settings = folder / "zabbix.conf.php"
        reader = folder / "web/include/classes/core/CConfigFile.php"
        reader.write_text(reader.read_text(encoding="utf-8").replace("/etc/zabbix/zabbix.conf.php", str(settings)))
        settings.write_text(_CONFIG.format(db=cluster.port, port=port), encoding="utf-8")
        server_settings = _SERVER.format(folder=folder, sockets=sockets, db=cluster.port, port=port)
        (folder / "server.conf").write_text(server_settings, encoding="utf-8")
        commands = (
            ["zabbix_server", "-f", "-c", str(folder / "server.conf")],
            ["php", "-d", "error_reporting=0", "-S", f"127.0.0.1:{web}", "-t", str(folder / "web")],
        )
        with (folder / "log").open("wb") as log:
            started = [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
        try:
            found = Zabbix(f"http://127.0.0.1:{web}", port)

            def is_ready() -> bool:
                assert all(one.poll() is None for one in started), (folder / "server.log").read_text(encoding="utf-8")
                try:
                    socket.create_connection(("127.0.0.1", port), 5).close()
                    return bool(found.call("user.login", username="Admin", password="zabbix"))
                except (OSError, httpx.HTTPError):
                    return False

            wait_until("Zabbix", is_ready, 90)
            yield found
        finally:
            for one in started:
                one.terminate()
            for one in started:
                one.wait(60)
