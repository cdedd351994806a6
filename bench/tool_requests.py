"""What some tools send about one backup, as bytes: the head without its length, and the body. `@` and `#` are replaced, so that each is another event."""

_LOG = "".join(f"Creating archive, chunk {number} of 30: 12,345 files, 10.5 GiB\n" for number in range(30))
_RESTIC = (
    '{"message_type":"summary","files_new":1,"files_changed":0,"files_unmodified":12344,"data_added":734003200,"total_files_processed":12345,'
    '"total_bytes_processed":11274289152,"total_duration":2467.5,"snapshot_id":"@@@@@@@@@@@@@@@@"}\n'
    '{"message_type":"error","error":{"message":"open /srv/a: permission denied"},"during":"archival","item":"/srv/a"}\n'
    '{"message_type":"exit_error","code":3,"message":"Warning: at least one source file could not be read"}\n'
)
_CLOUDEVENT = (
    '{"specversion":"1.0","id":"@@@@@@@@@@@@@@@@","source":"/hosts/host-01","type":"org.example.backup.succeeded","subject":"nightly-####",'
    '"time":"2026-01-01T00:00:00.000000+00:00","data":{"bytes":11274289152,"files":12345,"duration_s":2467.5}}'
)
_ALERT = (
    '{"status":"firing","alerts":[{"status":"firing","labels":{"alertname":"Old","instance":"host-01:9100","job":"nightly-####"},'
    '"annotations":{"summary":"30 h old"},"startsAt":"2026-01-01T00:00:00.000000+00:00","fingerprint":"@@@@@@@@@@@@@@@@"}]}'
)
_GUESTS = "".join(
    f"{number}     vm-{number}    ok    1m 3s    12.345 GiB    vm/{number}/2026\\n" for number in range(100, 110)
)
_PROXMOX = (
    '{"title":"vzdump backup status (host-01): backup successful","message":"Details\\n=======\\nVMID    Name    Status    Time    Size    Filename\\n'
    + _GUESTS
    + '\\nTotal running time: 11m 8s\\nTotal size: 123.45 GiB\\n","priority":3}'
)


def _post(address: str, kind: str, body: str) -> tuple[str, bytes]:
    return f"POST {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n", body.encode()


TOOL_REQUESTS = {
    "healthchecks": _post("/ping/<key>/nightly-####", "text/plain", _LOG + "@@@@@@@@@@@@@@@@"),
    "restic": _post("/in/restic/<key>?job=nightly-####&exit_code=3", "application/x-ndjson", _RESTIC),
    "cloudevents": _post("/in/cloudevents/<key>", "application/cloudevents+json", _CLOUDEVENT),
    "alertmanager": _post("/in/alertmanager/<key>", "application/json", _ALERT),
    "ntfy": _post("/in/ntfy/<key>/nightly-####", "text/plain", "Backup done, 12,345 files @@@@@@@@@@@@@@@@"),
    "proxmox, of 10 guests": _post(
        "/in/gotify/<key>/message?job=nightly-####&n=@@@@@@@@@@@@@@@@", "application/json", _PROXMOX
    ),
}
