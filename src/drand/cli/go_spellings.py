"""Command lines as people wrote them for v1.5.11: `-control 8888`, `--tls-disable=true`.

Go takes one dash or two before a name, and a value after a flag that needs none.
Source: Go, package flag, "Command line flag syntax"; the words for true and false: strconv.ParseBool.
"""

import copy
from collections.abc import Iterable, Sequence

import click

TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
END_OF_FLAGS = "--"


def in_our_spelling(
    command: click.Command, arguments: Sequence[str], *, up_to_a_word: bool = False
) -> tuple[click.Command, list[str]]:
    """The command and its arguments with Go's spellings replaced by ours.

    A flag that is switched off by `--flag=false` must stay off though its variable is set: then the command is a copy
    whose flag reads no variable. Arguments that are no flag of the command are left as they are.

    up_to_a_word   leave the first word that is no flag, and all after it: they are another command's
    """
    long_flags = {name: param for param in _options(command) for name in param.opts if name.startswith("--")}
    rewritten: list[str] = []
    off: set[str] = set()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == END_OF_FLAGS:
            return _without_variables(command, off), [*rewritten, word, *rest]
        name, equals, value = word.partition("=")
        name = _two_dashes(name, long_flags)
        option = long_flags.get(name)
        if option is None and up_to_a_word and not word.startswith("-"):
            return _without_variables(command, off), [*rewritten, word, *rest]
        if option is None:
            rewritten.append(word)
        elif option.is_flag and equals and value in FALSE:
            off.add(option.name or "")
        elif option.is_flag and equals and value in TRUE:
            rewritten.append(name)
        else:
            rewritten.append(name + equals + value)
            if not option.is_flag and not equals and rest:
                rewritten.append(rest.pop(0))  # the flag's value, whatever it looks like
    return _without_variables(command, off), rewritten


def _options(command: click.Command) -> Iterable[click.Option]:
    return (param for param in command.params if isinstance(param, click.Option))


def _two_dashes(name: str, known: Iterable[str]) -> str:
    return f"-{name}" if name.startswith("-") and f"-{name}" in known else name


def _without_variables(command: click.Command, off: set[str]) -> click.Command:
    if not off:
        return command
    silenced = copy.copy(command)
    silenced.params = [copy.copy(param) if param.name in off else param for param in command.params]
    for param in silenced.params:
        if param.name in off:
            param.envvar = None
    return silenced
