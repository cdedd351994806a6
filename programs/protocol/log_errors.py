"""Find lines in which a backup tool reports an error although it may end with exit code 0, or a script may lose its exit code.

One table for the service (pings, mails, posted output) and for the reporter on a backup host. Only lines that a known tool writes
count, because a log also lists names of files, so a single word proves nothing. A row has the tool, a text that is in every such line
(searched first, in lower case, because that is fast), the pattern, a sample, and where the source or manual of the tool has the line.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

_LENGTH_MOST = 4 * 1024 * 1024
_LINES_MOST = 100_000
_SHOWN_MOST = 300
_I, _M = re.IGNORECASE, re.MULTILINE
# What precedes a message in a log: a time, a level in brackets, the name of the host and the process.
_STAMP = r"^(?:[\[(]?[\d:.,/TZ+-]{4,35}[\])]?[ \t]{1,8}(?:[\d:.,+-]{5,20}[ \t]{1,8})?)?"
# A line of borg's list of files, or a similar one: it contains a file name, which may be any text.
_LISTED = re.compile(r"[AMUCdsbchxi?.+-] \S")


@dataclass(frozen=True)
class LogErrorRow:
    """One kind of line. `hint` is in each such line, in lower case."""

    tool: str
    hint: str
    expression: str
    flags: int
    sample: str
    source: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """The compiled expression. Few logs have a hint: to compile all rows was a tenth of the reporter's start."""
        return _compiled(self.expression, self.flags)


@dataclass(frozen=True)
class LogErrors:
    """How many lines of a log report an error, and the first one that names a reason."""

    count: int
    line: str


def _row(tool: str, hint: str, pattern: str, sample: str, source: str, flags: int = 0) -> LogErrorRow:
    return LogErrorRow(tool, hint, pattern, _M | flags, sample, source)


@functools.cache
def _compiled(expression: str, flags: int) -> re.Pattern[str]:
    return re.compile(expression, flags)


_RESTIC = "https://github.com/restic/restic, "
_BORG = "https://github.com/borgbackup/borg, "
_COUNT = r"[1-9]\d{0,14}"
# Every pattern begins at the start of a line or with fixed text, and repeats nothing without a bound.
ROWS: Sequence[LogErrorRow] = (
    # restic
    _row("restic", "does not match any files", r"^pattern .{1,2000} does not match any files, skipping", 'pattern "/srv/*.db" does not match any files, skipping', _RESTIC + "cmd/restic/cmd_backup.go"),
    _row("restic", "does not exist, skipping", r"^.{1,2000} does not exist, skipping", "/srv/photos does not exist, skipping", _RESTIC + "cmd/restic/cmd_backup.go"),
    _row("restic", "processed 0 files", r"^processed 0 files, 0(?:\.0{1,3})? B in ", "processed 0 files, 0 B in 0:00", _RESTIC + "internal/ui/backup/text.go"),
    _row("restic", "unable to remove", r"^unable to remove .{1,200} from the repository", "unable to remove snapshot/1a2b3c4d from the repository", _RESTIC + "cmd/restic/cmd_forget.go"),
    _row("restic", "ignoring error for", r"^ignoring error for .{1,2000}: ", "ignoring error for /srv/db: UtimesNano: operation not permitted", _RESTIC + "internal/ui/restore/text.go"),
    _row("restic", "error: ", r"^error: (?:open|read|l?stat|readdirnames|nodefromfileinfo|fcntl|createfile|getattr|.{1,2000}: (?:permission denied|input/output error|no such file or directory|access is denied)).{0,500}", "error: open /srv/db: permission denied", _RESTIC + "internal/ui/backup/text.go", _I),
    _row("restic", "source file could not be read", r"^warning: at least one source file could not be read", "Warning: at least one source file could not be read", _RESTIC + "cmd/restic/cmd_backup.go", _I),
    _row("restic", "fatal: ", _STAMP + r"Fatal: \S", "Fatal: unable to open repository at sftp:nas:/backup: EOF", _RESTIC + "internal/errors/fatal.go"),
    _row("restic", "unable to create lock", r"^unable to create lock in backend", "unable to create lock in backend: repository is already locked", _RESTIC + "internal/repository/lock.go"),
    # borg and borgmatic
    _row("borg", "e ", r"^E (?:/|[A-Za-z]:|\.{1,2}/).{0,1000}", "E /srv/db/locked.db", _BORG + "docs/usage/create.rst.inc"),
    _row("borg", "[errno ", r": (?:open|read|stat|scandir|readlink|listxattr|flistxattr|dir_open|fstat): \[Errno \d{1,5}\]", "/srv/db: open: [Errno 13] Permission denied: 'db'", _BORG + "src/borg/archive.py", _I),
    _row("borg", "file changed while we backed it up", r": file changed while we backed it up\s{0,3}$", "/srv/growing.log: file changed while we backed it up", _BORG + "src/borg/archive.py"),
    _row("borg", "terminating with ", r"^terminating with (?:warning|error) status, rc \d{1,5}", "terminating with warning status, rc 1", _BORG + "src/borg/archiver/__init__.py", _I),
    _row("borg", "lock", r"^Failed to create/acquire the lock ", "Failed to create/acquire the lock /repo/lock.exclusive (timeout).", _BORG + "src/borg/locking.py"),
    _row("borg", "passphrase supplied in", r"^passphrase supplied in .{1,300} is incorrect", "passphrase supplied in BORG_PASSPHRASE, by BORG_PASSCOMMAND or via BORG_PASSPHRASE_FD is incorrect.", _BORG + "src/borg/crypto/key.py"),
    _row("borg", "never matched", r"^Include pattern .{1,2000} never matched", "Include pattern 'srv/photos' never matched.", _BORG + "src/borg/archiver/_common.py"),
    _row("borg", "connection closed by remote host", r"^(?:Remote: )?Connection closed by remote host", "Connection closed by remote host. Is borg working on the server?", _BORG + "src/borg/remote.py"),
    _row("borg", "repository ", r"^Repository \S{1,2000} (?:does not exist|is not a valid repository)", "Repository /repo does not exist.", _BORG + "src/borg/repository.py"),
    _row("borgmatic", "treating exit code ", r"^Treating exit code \d{1,5} \(.{0,200}\) as a warning", "Treating exit code 100 (file changed) as a warning", "https://torsion.org/borgmatic/docs/how-to/customize-warnings-and-errors/", _I),
    _row("borgmatic", "error running ", r"^.{0,300}: Error running (?:actions|configuration|command hook)", "/etc/borgmatic/config.yaml: Error running configuration", "https://projects.torsion.org/borgmatic-collective/borgmatic, borgmatic/commands/borgmatic.py"),
    # rsync, rclone, robocopy
    _row("rsync", "rsync error: ", r"^rsync error: .{0,300}\(code \d{1,5}\)", "rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1338) [sender=3.2.7]", "https://download.samba.org/pub/rsync/rsync.1", _I),
    _row("rsync", "rsync warning: ", r"^rsync warning: \S", "rsync warning: some files vanished before they could be transferred (code 24) at main.c(1338) [sender=3.2.7]", "https://download.samba.org/pub/rsync/rsync.1", _I),
    _row("rsync", "failed", r"^rsync: (?:\[[a-zA-Z]{1,20}\] )?\S.{0,2000} failed(?: to open .{1,2000})?: ", 'rsync: [sender] send_files failed to open "/srv/db": Permission denied (13)', "https://github.com/RsyncProject/rsync, sender.c", _I),
    _row("rsync", "connection unexpectedly closed", r"^rsync: (?:\[[a-zA-Z]{1,20}\] )?connection unexpectedly closed", "rsync: connection unexpectedly closed (0 bytes received so far) [sender]", "https://github.com/RsyncProject/rsync, io.c"),
    _row("rsync", "skipping file deletion", r"^IO error encountered -- skipping file deletion", "IO error encountered -- skipping file deletion", "https://github.com/RsyncProject/rsync, delete.c"),
    _row("rsync", "failed verification", r"^(?:ERROR|WARNING): .{1,2000} failed verification -- update ", "WARNING: srv/db failed verification -- update discarded (will try again).", "https://github.com/RsyncProject/rsync, receiver.c"),
    _row("rclone", "error : ", _STAMP + r"ERROR : ", "2026/11/23 02:00:09 ERROR : db/dump.sql: Failed to copy: 403 Forbidden", "https://rclone.org/docs/#log-level-level"),
    _row("rclone", "failed to ", _STAMP + r"(?:CRITICAL: )?Failed to (?:sync|copy|move|bisync|create file system|check|purge|delete)\b.{0,200}: ", "2026/11/23 02:00:09 Failed to sync with 2 errors: last error was: 403 Forbidden", "https://rclone.org/commands/rclone_sync/"),
    _row("rclone", "errors:", rf"^Errors:\s{{1,20}}{_COUNT}\b", "Errors:                 2 (retrying may help)", "https://rclone.org/docs/#stats-duration"),
    _row("robocopy", "(0x0000", _STAMP + r"(?:ERROR|FEHLER|ERREUR|ERRORE|ERRO|FOUT|BŁĄD) \d{1,5} \(0x[0-9A-F]{8}\)", r"2026/11/23 02:00:09 ERROR 32 (0x00000020) Copying File D:\Data\db.mdf", "https://learn.microsoft.com/windows-server/administration/windows-commands/robocopy"),
    _row("robocopy", "retry limit exceeded", r"^ERROR: RETRY LIMIT EXCEEDED", "ERROR: RETRY LIMIT EXCEEDED.", "https://learn.microsoft.com/windows-server/administration/windows-commands/robocopy"),
    _row("robocopy", " : ", rf"^[ \t]{{1,12}}(?:Dirs|Files|Verz\.|Dateien|Rép|Fichiers) ?:(?:[ \t]{{1,20}}\d{{1,15}}){{4}}[ \t]{{1,20}}{_COUNT}[ \t]{{1,20}}\d{{1,15}}[ \t\r]{{0,8}}$", "   Files :       120        10       108         0         2         0", "https://learn.microsoft.com/windows-server/administration/windows-commands/robocopy"),
    # archives and copies
    _row("tar", "tar: ", r"^(?:bsd|g|s)?tar: .{1,2000}: (?:Cannot |Read error |file changed as we read it|File removed before we read it|File shrank by |Error |Couldn't |Permission denied|Input/output error|No such file)", "tar: /root: Cannot open: Permission denied", "https://www.gnu.org/software/tar/manual/, error messages", _I),
    _row("tar", "tar: ", r"^(?:bsd|g|s)?tar: (?:Exiting with failure status|Error is not recoverable|Error exit delayed|Unexpected EOF|Failed to |Cannot )", "tar: Exiting with failure status due to previous errors", "https://www.gnu.org/software/tar/manual/, error messages", _I),
    _row("coreutils", ": ", r"^(?:/\S{1,100}/)?(?:cp|mv|dd|cat|install|ln|mkdir|rm|tee|touch|split|gzip|gunzip|bzip2|xz|zstd|pigz|7z|zip|find|du|cpio|sha\d{1,3}sum|md5sum): .{0,2000}(?:cannot |can't |failed to |error (?:reading|writing)|Permission denied|No such file or directory|Input/output error|No space left|not a directory|Read-only file system)", "cp: cannot stat '/srv/db': No such file or directory", "https://www.gnu.org/software/coreutils/manual/", _I),
    _row("zip", "zip ", r"^[ \t]{0,8}zip (?:error|I/O error|warning): ", "zip I/O error: No space left on device", "https://infozip.sourceforge.net/, zip.c"),
    _row("7-Zip", "error", r"^(?:(?:Sub items )?Errors: [1-9]|System ERROR:$|Scan WARNINGS for files and folders:)", "Sub items Errors: 1", "https://7-zip.opensource.jp/chm/cmdline/exit_codes.htm"),
    # disk, host and network
    _row("any", "no space left on device", r"(?:: |^|\"|')No space left on device\b(?! *\.\w)", "write /backup/part1: No space left on device", "errno(3), ENOSPC", _I),
    _row("any", "errno 28]", r"\[Errno 28\]", "OSError: [Errno 28] No space left on device", "errno(3), ENOSPC", _I),
    _row("any", "quota exceeded", r"(?:: |^)(?:Disk )?quota exceeded\s{0,3}$", "write error: Disk quota exceeded", "errno(3), EDQUOT", _I),
    _row("any", "read-only file system", r": Read-only file system\s{0,3}$", "mkdir: /backup/new: Read-only file system", "errno(3), EROFS", _I),
    _row("any", "stale file handle", r": Stale (?:NFS )?file handle\s{0,3}$", "ls: /mnt/nas: Stale file handle", "errno(3), ESTALE", _I),
    _row("any", "input/output error", r": Input/output error\s{0,3}$", "read /dev/sda: Input/output error", "errno(3), EIO", _I),
    _row("Windows", "not enough space on the disk", r"There is not enough space on the disk", "There is not enough space on the disk.", "Windows system error 112", _I),
    _row("shell", "not found", r"^(?:-?(?:ba|da|z|k|a)?sh|/\S{1,300}|\S{1,100}\.sh|env): (?:(?:line )?\d{1,6}: )?(?:command not found: \S|[^\s:]{1,300}: (?:command )?not found\s{0,3}$)", "/usr/local/bin/backup.sh: line 12: restic: command not found", "bash(1), exit status 127"),
    _row("shell", "no such file or directory", r"^(?:-?(?:ba|da|z|k|a)?sh|/\S{1,300}|\S{1,100}\.sh|env): (?:(?:line )?\d{1,6}: )?.{1,500}: No such file or directory\s{0,3}$", "env: 'restic': No such file or directory", "bash(1), exit status 127"),
    _row("shell", "killed", r"^(?:/\S{1,300}|\S{1,100}\.sh): line \d{1,6}: {1,4}\d{1,10} (?:Killed|Terminated|Segmentation fault|Aborted|Bus error)", "/usr/local/bin/backup.sh: line 12:  4711 Killed                  restic backup /srv", "bash(1), signals"),
    _row("ssh", "ssh: ", r"^ssh: (?:connect to host|Could not resolve hostname) ", "ssh: connect to host nas port 22: Connection refused", "https://github.com/openssh/openssh-portable, sshconnect.c"),
    _row("ssh", "verification failed", r"^Host key verification failed", "Host key verification failed.", "https://github.com/openssh/openssh-portable, sshconnect.c"),
    _row("ssh", "permission denied (", r"Permission denied \((?:publickey|password|keyboard-interactive|gssapi)", "backup@nas: Permission denied (publickey).", "https://github.com/openssh/openssh-portable, sshconnect2.c"),
    _row("ssh", "broken pipe", r"^(?:client_loop: )?send disconnect: Broken pipe", "client_loop: send disconnect: Broken pipe", "https://github.com/openssh/openssh-portable, clientloop.c"),
    _row("mount", "mount", r"^mount(?:\.\w{1,10}| error\(\d{1,5}\))?: .{0,500}(?:denied|refused|timed out|can't find|not exist|failed|wrong fs type|No such|busy)", "mount.nfs: Connection timed out", "mount(8)", _I),
    _row("gpg", "gpg: ", r"^gpg: (?:encryption failed|signing failed|can't |error |no valid )", "gpg: encryption failed: No public key", "https://www.gnupg.org/documentation/"),
    _row("Python", "traceback (most", r"^Traceback \(most recent call last\):", "Traceback (most recent call last):", "https://docs.python.org/3/library/traceback.html"),
    _row("Go", "panic: ", r"^panic: \S", "panic: runtime error: invalid memory address or nil pointer dereference", "https://go.dev/ref/spec#Handling_panics"),
    _row("logs", "error", r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,]\d{1,9}(?: ?[+-]\d\d:?\d\d|Z)? {0,4}(?:\[\S{1,40}\] |\S{1,60} ){0,2}\[?(?:ERROR|CRITICAL|FATAL)(?=[\]: |]|$)", "2026-11-23 02:00:09.000 ERROR UPLOAD_CHUNK Failed to upload the chunk 9f2a", "duplicacy's log, Python's logging, barman's log"),
    _row("many", "error: ", _STAMP + r"ERROR: {1,4}(?!(?:0|none|no|null)\b)\S", "ERROR: cannot snapshot '/data': Read-only file system", "btrfs-progs common/messages.c; WAL-G, Barman, s3cmd, rdiff-backup, robocopy and vzdump write the same"),
    _row("many", "error: ", r"^Error: {1,4}(?!(?:0|none|no|null)\b)\S", "Error: unable to open chunk store 'store1'", "proxmox-backup-client, docker, esxcli and most programs in Rust"),
    # databases
    _row("pg_dump", "pg_", r"^(?:pg_\w{2,30}|psql|createdb|vacuumdb): (?:error|fatal|Fehler|erreur|errore|fout|błąd|ошибка|エラー|错误)\b", 'pg_dump: error: connection to server at "db" failed: Connection refused', "https://github.com/postgres/postgres, src/common/logging.c", _I),
    _row("psql", "psql: ", r"^psql: (?:error|fatal|Fehler|erreur)\b", "psql: error: FATAL:  the database system is shutting down", "https://github.com/postgres/postgres, src/common/logging.c", _I),
    _row("pg_dump", "pg_", r"^pg_\w{2,30}: (?:\[.{1,60}\] )?.{0,300}\bfailed:", 'pg_dump: [archiver (db)] connection to database "shop" failed: could not connect to server', "https://github.com/postgres/postgres, src/bin/pg_dump (before 12)"),
    _row("mysqldump", "dump", r"^(?:/\S{1,200}/)?(?:mysqldump|mysqlpump|mysql|mariadb-dump|mariadb|mysqladmin|mydumper): (?:Got error|Error|Couldn't |\[ERROR\])", "mysqldump: Got error: 1045: Access denied for user 'backup'@'localhost' when trying to connect", "https://github.com/mysql/mysql-server, client/mysqldump.cc"),
    _row("mysql", "error ", r"^ERROR \d{4} \([0-9A-Z]{5}\)", "ERROR 2002 (HY000): Can't connect to local MySQL server through socket", "https://github.com/mysql/mysql-server, client/mysql.cc"),
    _row("xtrabackup", "backup: error", r"^(?:\[\d\d\] )?(?:[\d-]{6,10} [\d:]{8} )?(?:xtrabackup|mariabackup|mariadb-backup|innobackupex): Error\b", "mariabackup: Error: cannot read './shop/orders.ibd'", "https://github.com/MariaDB/server, extra/mariabackup", _I),
    _row("xtrabackup", "error: ", r"^\[\d\d\] [\d-]{6,10} [\d:]{8} Error: ", "[01] 2026-11-23 02:00:09 Error: xtrabackup_copy_datafile() failed.", "https://github.com/MariaDB/server, extra/mariabackup"),
    _row("xtrabackup", "[error]", r"^[\dT:.Z+-]{19,40} \d{1,9} \[ERROR\] ", "2026-11-23T02:00:09.123456-00:00 0 [ERROR] [MY-011825] [Xtrabackup] log_copying_thread failed", "https://docs.percona.com/percona-xtrabackup/8.0/"),
    _row("mongodump", "failed: ", r"^[\dT:.Z+-]{20,35}\s{1,8}Failed: \S", "2026-11-23T02:00:09.123+0000\tFailed: can't create session: could not connect to server", "https://github.com/mongodb/mongo-tools, mongodump/main"),
    _row("pgBackRest", " error: [", r"^(?:[\d-]{10} [\d:.]{8,12} )?P\d\d {1,4}ERROR: \[\d{3}\]", "P00  ERROR: [055]: unable to load info file '/var/lib/pgbackrest/backup.info'", "https://pgbackrest.org/user-guide.html"),
    _row("sqlcmd", "backup database is terminating", r"BACKUP (?:DATABASE|LOG) is terminating abnormally", "BACKUP DATABASE is terminating abnormally.", "SQL Server, error 3013", _I),
    _row("sqlcmd", "level 1", r"^Msg \d{1,6}, Level 1[1-9], State \d{1,4}", "Msg 3201, Level 16, State 1, Server SQL01, Line 1", "SQL Server, severities from 11 are errors"),
    _row("exp", "ora-", r"^(?:ORA|RMAN|EXP|UDE)-\d{4,5}: ", "ORA-01555: snapshot too old", "https://docs.oracle.com/error-help/db/"),
    # file systems and snapshots
    _row("ZFS", "cannot ", r"^(?:warning: |internal error: )?cannot (?:send|receive|open|create|destroy|resume|mount|snapshot|hold|rename|rollback|import|access)\b.{0,500}", "cannot send 'tank/data@2026-11-23': I/O error", "https://github.com/openzfs/zfs, lib/libzfs/libzfs_sendrecv.c"),
    _row("syncoid", "critical error", r"^CRITICAL ERROR: ", "CRITICAL ERROR:  zfs send  -I 'tank/data'@'a' 'tank/data'@'b' | zfs receive 'pool/data' failed: 256 at /usr/sbin/syncoid line 492.", "https://github.com/jimsalterjrs/sanoid, syncoid"),
    _row("sanoid", "crit", r"^(?:CRITICAL WARNING|CRIT): ", "CRIT: tank/data has no daily snapshots at all!", "https://github.com/jimsalterjrs/sanoid, sanoid"),
    _row("zfs-autobackup", "failures!", rf"^! {_COUNT} failures!", "! 1 failures!", "https://github.com/psy0rz/zfs_autobackup"),
    _row("btrbk", "!!! ", r"^!!! ", "!!! Aborted: Failed to fetch subvolume detail for: /mnt/btr_pool", "https://github.com/digint/btrbk"),
    _row("vmkfstools", "failed to clone disk", r"^Failed to clone disk: ", "Failed to clone disk: There is not enough space on the file system for the selected operation (13).", "https://github.com/lamw/ghettoVCB, ghettoVCB.sh"),
    _row("ghettoVCB", "final status: ", r"Final status: (?:ERROR|WARNING|No VMs backed up)", "2026-11-23 02:00:09 -- info: ###### Final status: ERROR: Only some of the VMs backed up! ######", "https://github.com/lamw/ghettoVCB, ghettoVCB.sh"),
    _row("vim-cmd", "(vim.fault.", r"^\(vim\.fault\.\w{1,80}\)", "(vim.fault.InvalidPowerState) {", "https://developer.broadcom.com/xapis/vsphere-web-services-api/latest/"),
    _row("esxcli", "connect to localhost failed", r"^Connect to localhost failed: ", "Connect to localhost failed: Connection failure.", "esxcli"),
    # other backup programs
    _row("duplicity", "errors ", rf"^Errors {_COUNT}\s{{0,3}}$", "Errors 2", "https://duplicity.us/docs/, Backup Statistics; rdiff-backup's session statistics are the same"),
    _row("duplicity", "error ", r"^Error (?:accessing possibly locked file|processing|initializing file|opening file) ", "Error accessing possibly locked file /srv/db", "https://gitlab.com/duplicity/duplicity, duplicity/path.py"),
    _row("rdiff-backup", "error: ", r"^(?:Update|List|SpecialFile|Delete)Error: ", "UpdateError: srv/db Updated mirror temp file does not match source", "https://rdiff-backup.net/, error policy"),
    _row("Bacula", "error: ", r"^.{0,120}JobId \d{1,12}: (?:Fatal error|Error): ", "23-Nov 02:00 nas01-fd JobId 12: Fatal error: Job canceled because max run time exceeded", "https://www.bacula.org/, messages", _I),
    _row("Bacula", "fatal error: ", _STAMP + r"(?:Fatal error|Fatal Error): \S", "Fatal error: Failed to connect to Storage daemon", "https://www.bacula.org/, messages; duplicity and the aws command write the same"),
    _row("Bacula", "d errors:", rf"^ {{0,12}}(?:Non-fatal )?[FS]D Errors: {{1,20}}{_COUNT}\b", "  Non-fatal FD errors:    2", "https://www.bacula.org/, the summary of a job", _I),
    _row("Duplicati", "fileswitherror", rf"\bFilesWithError\"? {{0,3}}[:=] {{0,3}}{_COUNT}\b", "FilesWithError: 2", "https://github.com/duplicati/duplicati, Duplicati/Library/Main/ResultClasses.cs"),
    _row("Kopia", "while snapshotting", rf"\bFound {_COUNT} fatal error\(s\) while snapshotting |\bIgnored {_COUNT} error\(s\) while snapshotting ", "Found 2 fatal error(s) while snapshotting root@nas01:/srv.", "https://github.com/kopia/kopia, cli/command_snapshot_create.go"),
    _row("Kopia", "error when processing", r"Error when processing \"", '! Error when processing "db/lock": permission denied', "https://github.com/kopia/kopia, snapshot/upload"),
    _row("Kopia", "error ", r"^ERROR [a-z]\w{1,30} ", "ERROR failed to open repository: unable to open blob storage", "https://github.com/kopia/kopia, internal/logfile"),
    _row("AWS", "an error occurred (", r"An error occurred \(\w{1,80}\) when calling the ", "An error occurred (AccessDenied) when calling the PutObject operation: Access Denied", "https://docs.aws.amazon.com/cli/latest/userguide/cli-chap-troubleshooting.html"),
    _row("AWS", "upload failed: ", r"^upload failed: .{1,2000} to s3://", "upload failed: ./db.sql to s3://backups/db.sql An error occurred (AccessDenied)", "https://github.com/aws/aws-cli, awscli/customizations/s3/results.py"),
    _row("MinIO", "mc: <error>", r"^mc: <ERROR> ", "mc: <ERROR> Failed to copy `/srv/db`. Access Denied.", "https://github.com/minio/mc"),
    _row("Docker", "error response from daemon", r"^(?:docker: )?Error response from daemon: ", "Error response from daemon: No such container: db", "https://github.com/moby/moby"),
    _row("Docker", "cannot connect to the docker daemon", r"Cannot connect to the Docker daemon at ", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", "https://github.com/moby/moby"),
    _row("vzdump", "task error: ", _STAMP + r"TASK ERROR: ", "TASK ERROR: job errors", "https://pve.proxmox.com/wiki/Backup_and_Restore"),
    _row("vzdump", "error: backup of vm", r"ERROR: Backup of VM \d{1,10} failed", "101: 2026-11-23 02:01:09 ERROR: Backup of VM 101 failed - unable to activate storage", "https://pve.proxmox.com/wiki/Backup_and_Restore"),
    _row("wbadmin", "could not be completed", r"^The backup of volume .{1,200} could not be completed", "The backup of volume (C:) could not be completed. Error: The device is not ready.", "https://learn.microsoft.com/windows-server/administration/windows-commands/wbadmin"),
    _row("wbadmin", "stopped before completing", r"^The backup operation stopped before completing", "The backup operation stopped before completing.", "https://learn.microsoft.com/windows-server/administration/windows-commands/wbadmin"),
    _row("Time Machine", "backup failed", r"\bBackup failed (?:with error|\(\d{1,6}:|\()", "Backup failed with error 20: The backup disk is full", "tmutil, log of com.apple.TimeMachine"),
    _row("VSS", "vss_e_", r"\bVSS_E_[A-Z_]{3,60}", "VSS_E_WRITER_STATUS_NOT_AVAILABLE: 0x80042409", "https://learn.microsoft.com/windows/win32/vss/", _I),
)  # fmt: skip


def find_log_errors(log: str) -> LogErrors | None:
    """Return the errors in a log of a tool that may report success all the same: files that were not read, failed steps.

    None if there are none. At most 4 Mi characters are searched.
    """
    log = log[:_LENGTH_MOST]
    lowered = log.lower()
    if len(lowered) != len(log):  # the lower case of a few characters is longer
        lowered = log.translate(_ASCII_LOWER)
    found: dict[int, int] = {}  # where a line begins -> where what was found in it begins
    for row in ROWS:
        if row.hint not in lowered:
            continue
        for match in row.pattern.finditer(log):
            start = log.rfind("\n", 0, match.start()) + 1
            if not _LISTED.match(log, start) and len(found) < _LINES_MOST:
                found.setdefault(start, match.start())
    if not found:
        return None
    lines = [_line_at(log, start, found[start]) for start in sorted(found)]
    with_reason = next((line for line in lines if not line.startswith("E ")), lines[0])
    return LogErrors(len(lines), with_reason)


_ASCII_LOWER = {ord(upper): upper.lower() for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def _line_at(log: str, start: int, found: int) -> str:
    """Return the line, or of a line that is too long the part that was found."""
    end = log.find("\n", found)
    end = len(log) if end < 0 else end
    if end - start <= _SHOWN_MOST:
        return log[start:end].strip()
    return log[found : min(end, found + _SHOWN_MOST)].strip()
