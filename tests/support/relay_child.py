"""A relay's child that behaves as asked: the real child program on a mailbox of files, for tests of the programs that run children.

Run as a program, it is that child; imported, `played` returns the command that starts it.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def played(mailbox: Path, **script: Any) -> list[str]:
    """Return the command of a child whose mailbox lies in the folder `mailbox`; tests.support.file_mailbox says what `script` may hold."""
    return [sys.executable, __file__, str(mailbox), json.dumps(script)]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from programs.relay import child
    from tests.support.file_mailbox import FileMailbox

    folder, words = Path(sys.argv[1]), json.loads(sys.argv[2])
    sys.exit(child.main(lambda _order: FileMailbox(folder, words)))
