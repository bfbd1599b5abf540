"""What may be shown of a process's environment and command line: everything but what looks like a secret."""

import re
from collections.abc import Iterable, Mapping, Sequence

from workbench.model.mask import HIDDEN, SHORTEST
from workbench.model.text import cut

MOST_VARIABLES = 300
LONGEST_VALUE = 512
LONGEST_COMMAND = 200
_NAME = re.compile(
    r"TOKEN|SECRET|KEY|PASS|AUTH|CREDENTIAL|PRIVATE|COOKIE|SESSION|SIGNATURE|WEBHOOK|DSN|CONN\w*STR|LICEN[CS]E"
    r"|_PWD$|(?:^|_)SIG$|BEARER|SALT",
    re.IGNORECASE,
)
_PLAIN = frozenset({"SSH_AUTH_SOCK", "XAUTHORITY", "XDG_SESSION_ID", "XDG_SESSION_TYPE", "XDG_SESSION_CLASS"})
_LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE)
_QUERY = re.compile(r"([?&;]([\w.-]+)=)([^&;#\s]+)")
# How well-known services write theirs, and what is a key or a token by its very form.
_SHAPES = re.compile(
    r"\b(?:sk|pk|rk)[-_][\w-]{12,}|\bgh[oprsu]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bxox[a-z]-[\w-]{10,}"
    r"|\bA[KS]IA[0-9A-Z]{16}\b|\bAIza[\w-]{30,}|\bhf_\w{20,}|\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"
)
_PEM = "-----BEGIN"


def is_secret_name(name: str) -> bool:
    """A variable, flag or field that holds a secret, as far as its name tells."""
    return name not in _PLAIN and _NAME.search(name) is not None


def hidden_value(name: str, value: str) -> str:
    """The value of a variable, without what nobody may read."""
    if value and (is_secret_name(name) or _PEM in value):
        return HIDDEN
    return hidden_text(value)


def hidden_text(text: str) -> str:
    """A text without the logins of URLs, secret fields of queries, and what is a token by its form."""
    text = _LOGIN.sub(rf"\1{HIDDEN}@", text)
    text = _QUERY.sub(lambda found: found[1] + (HIDDEN if is_secret_name(found[2]) else found[3]), text)
    return _SHAPES.sub(HIDDEN, text)


def shown_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Names in order with what may be shown; a hidden value is hidden in the others, too."""
    secrets = secrets_in(environment)
    shown = {}
    for name in sorted(environment)[:MOST_VARIABLES]:
        value = hidden_value(name, without(environment[name], secrets))
        shown[cut(name, LONGEST_VALUE)] = cut(value, LONGEST_VALUE)
    return shown


def secrets_in(environment: Mapping[str, str]) -> list[str]:
    """The values hidden for their names, longest first."""
    found = {value for name, value in environment.items() if is_secret_name(name) and len(value) >= SHORTEST}
    return sorted(found, key=len, reverse=True)


def without(text: str, secrets: Iterable[str]) -> str:
    """The text without these."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def shown_command(arguments: Sequence[str], secrets: Iterable[str]) -> str:
    """A command line on one line, without what its flags and the environment's secrets name."""
    shown, hide = [], False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if hide and not argument.startswith("-"):
            shown.append(HIDDEN)
            hide = False
            continue
        hide = argument.startswith("-") and not equals and is_secret_name(name)
        shown.append(f"{name}={hidden_value(name, value)}" if equals else hidden_text(argument))
    return cut(without(" ".join(shown), secrets), LONGEST_COMMAND)
