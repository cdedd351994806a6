"""Asks questions on a terminal, unless an option has given the answer or `--yes` forbids questions."""

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import typer

from app.core.errors import BadInput

Check = Callable[[str], str | None]  # returns what is wrong with an answer, or None


class Dialog:
    """The questions of one run. `given` holds the answers of the options, by the name of the option."""

    def __init__(self, given: Mapping[str, str | None], *, may_ask: bool) -> None:
        self._given = {name: value for name, value in given.items() if value is not None}
        self.may_ask = may_ask

    def has(self, option: str) -> bool:
        """Whether an option has an answer that is not used yet."""
        return option in self._given

    def ask(self, option: str, question: str, default: str | None = None, check: Check | None = None) -> str:
        """Return the answer of the option, or ask until `check` finds nothing wrong. An empty `default` may be accepted by Enter."""
        if (given := self._given.pop(option, None)) is not None:
            self._stop_if_wrong(option, check(given) if check else None)
            return given
        if not self.may_ask:
            if default is None:
                raise BadInput(f"--{option}: is needed with --yes ({question})")
            self._stop_if_wrong(option, check(default) if check else None)
            return default
        while True:
            shown = f" [{default}]" if default else " [none]" if default == "" else ""
            answer = str(typer.prompt(f"{question}{shown}", default=default, show_default=False)).strip()
            wrong = check(answer) if check else None
            if wrong is None and (answer or default == ""):
                return answer
            typer.echo(f"  {wrong or 'an answer is needed'}")

    def ask_secret(self, option: str, question: str) -> str:
        """Return the answer of the option, or ask without showing what is typed."""
        if (given := self._given.pop(option, None)) is not None:
            return given
        if not self.may_ask:
            raise BadInput(f"--{option}-file: is needed with --yes ({question})")
        return str(typer.prompt(f"{question} (not shown)", hide_input=True)).strip("\r\n")

    def choose(self, option: str, question: str, choices: Sequence[tuple[str, str]], default: str | None) -> str:
        """Return one of the choices (name, title), asked for by number or name."""
        names = [name for name, _ in choices]
        if option not in self._given and self.may_ask:
            typer.echo(question)
            for number, (name, title) in enumerate(choices, start=1):
                typer.echo(f"  {number}  {name:<{max(map(len, names))}}  {title}")

        def check(answer: str) -> str | None:
            is_number = answer.isascii() and answer.isdecimal() and 0 < int(answer) <= len(names)
            return None if is_number or answer in names else f"one of: {', '.join(names)}, or its number"

        answer = self.ask(
            option, "Number or name", None if default is None else str(default), check
        )  # as text: an enumeration would be shown whole
        return names[int(answer) - 1] if answer.isdecimal() else answer

    def confirm(self, question: str, *, default: bool) -> bool:
        """Ask yes or no; without questions, return the default."""
        return typer.confirm(question, default=default) if self.may_ask else default

    @staticmethod
    def _stop_if_wrong(option: str, wrong: str | None) -> None:
        if wrong is not None:
            raise BadInput(f"--{option}: {wrong}")


def stop(text: str) -> NoReturn:
    """Say why the settings stay as they were, and end with exit code 1."""
    typer.echo(text)
    raise typer.Exit(1)
