"""What may be shown of a process's environment and command line: everything but what looks like a secret."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from workbench.model.mask import HIDDEN, SHORTEST
from workbench.model.text import cut

MOST_VARIABLES = 300
LONGEST_VALUE = 512
LONGEST_COMMAND = 200
_NAME = re.compile(
    r"TOKEN|SECRET|KEY|PASS|AUTH|CREDENTIAL|PRIVATE|COOKIE|SESSION|SIGNATURE|WEBHOOK|DSN|CONN\w*STR|LICEN[CS]E"
    r"|PWD|(?:^|_)SIG$|BEARER|SALT|MNEMONIC|PW\d*(?![A-Z])|(?:^|[\W_])(?:PIN|CREDS?|BASIC)\d*(?![A-Z\d])",
    re.IGNORECASE,
)
_PLAIN = frozenset(
    {"PWD", "OLDPWD", "SSH_AUTH_SOCK", "XAUTHORITY", "XDG_SESSION_ID", "XDG_SESSION_TYPE", "XDG_SESSION_CLASS"}
)
# What is hidden after what is kept, in this order. A login ends at the last @, and a password may hold / and blanks.
_AFTER = (
    re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://)[^/?#\s:]*:(?:(?!://)[^?#\"<>\r\n])*(?=@)", re.IGNORECASE),
    re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://)[^/\s]+(?=@)", re.IGNORECASE),
    re.compile(r"(\bauthorization[\"']?\s*:\s*)[^\r\n]+", re.IGNORECASE),
    re.compile(r"(\b(?:bearer|basic)\s+)[^\s\"',;]+", re.IGNORECASE),
    re.compile(r"(\b(?:hooks\.slack\.com|discord(?:app)?\.com/api/webhooks)/)[^\s\"']+", re.IGNORECASE),
)
_FIELD = re.compile(r"((?:^|[?&;,\s\"'])([\w.-]+)=)([^&;#\s]+)")
_HEADER = re.compile(r"^((?:-H)?([\w-]+):\s+)(\S.*)", re.MULTILINE)
# How well-known services write theirs, and what is a key or a token by its very form.
_SHAPES = re.compile(
    r"\b(?:sk|pk|rk)[-_][\w-]{12,}|\b(?:gh[oprsu]|hf|npm|github_pat)_\w{20,}|\b(?:glpat|pypi)-[\w-]{16,}"
    r"|\bxox[a-z]-[\w-]{10,}|\bxapp-[\w-]{10,}|\bwhsec_[\w+/=-]{12,}|\bSG\.[\w-]{10,}(?:\.[\w-]+)?"
    r"|\bA[KS]IA[0-9A-Z]{16}\b|\bAIza[\w-]{30,}|\beyJ[\w-]{8,}(?:\.[\w-]*){0,2}"
)
_PEM = "-----BEGIN"
_NAMED = re.compile(r"-{0,2}[\w.-]+")
# Flags of well-known programs that hold a secret without saying so; nothing behind one: the next argument is it.
_FLAGS = {
    "curl": re.compile(r"(-[0-9#aBfgGijkLlMnNOpqRsSvZ]*[uU]|--(?:proxy-)?user(?:=|$))(.*)", re.DOTALL),
    "mysql": re.compile(r"(-p)(.+)", re.DOTALL),
    "mariadb": re.compile(r"(-p)(.+)", re.DOTALL),
    "mongo": re.compile(r"(-p)(.*)", re.DOTALL),
    "sshpass": re.compile(r"(-p)(.*)", re.DOTALL),
    "redis-cli": re.compile(r"(-a)(.*)", re.DOTALL),
    "ldap": re.compile(r"(-w)(.*)", re.DOTALL),
}


def is_secret_name(name: str) -> bool:
    """A variable, flag or field that holds a secret, as far as its name tells."""
    return name not in _PLAIN and _NAME.search(name) is not None


def hidden_value(name: str, value: str) -> str:
    """The value of a variable, without what nobody may read."""
    return HIDDEN if value and is_secret_name(name) else hidden_text(value)


def hidden_text(text: str) -> str:
    """A text without logins, secret fields of queries and headers, and what is a key or a token by its form."""
    if _PEM in text:
        return HIDDEN
    for before in _AFTER:
        text = before.sub(rf"\1{HIDDEN}", text)
    for field in (_FIELD, _HEADER):
        text = field.sub(lambda found: found[1] + (HIDDEN if is_secret_name(found[2]) else found[3]), text)
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
    return cut(without(" ".join(_hidden_arguments(arguments)), secrets), LONGEST_COMMAND)


def _hidden_arguments(arguments: Iterable[str]) -> list[str]:
    shown: list[str] = []
    hide, before = False, ""
    flags: re.Pattern[str] | None = None
    for argument in arguments:
        short = flags.fullmatch(argument) if flags is not None else None
        header, colon, _ = argument.partition(":")
        if hide:
            shown.append(HIDDEN)
        elif short is not None:
            shown.append(short[1] + HIDDEN * bool(short[2]))
        elif before in ("-H", "--header") and colon and is_secret_name(header):
            shown.append(f"{header}: {HIDDEN}")
        else:
            shown.append(_hidden_argument(argument))
        # Also of what was hidden: it may have been no value, but the next flag.
        by_name = argument.startswith("-") and _NAMED.fullmatch(argument) is not None and is_secret_name(argument)
        hide = not short[2] if short is not None else by_name
        program = argument.rpartition("/")[2]
        flags = next((found for name, found in _FLAGS.items() if program.startswith(name)), flags)
        before = argument
    return shown


def _hidden_argument(argument: str) -> str:
    kept, (name, equals, value) = "", argument.partition("=")
    while equals and _NAMED.fullmatch(name):  # `--env=NAME=value`
        kept += f"{name}="
        if value and is_secret_name(name):
            return kept + HIDDEN
        name, equals, value = value.partition("=")
    text = hidden_text(argument[len(kept) :])
    if " -" not in text:
        return kept + text
    words = _words(text)  # it is a command line itself, as a shell's is
    hidden = _hidden_arguments(words)
    return kept + (text if hidden == words else " ".join(hidden))


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote is not closed
        return text.split()
