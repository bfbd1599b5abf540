"""Every option of a worker, declared once.

Flags, environment variables, configuration files, `GET /options`, the tuning pane and the README's table
are all made from this model.
"""

import math
import re
import warnings
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from workbench.model.errors import LONGEST_NAME, UsageError, nearest
from workbench.model.mask import HIDDEN, SHORTEST
from workbench.model.text import cut

Effect = Literal["now", "next job", "restart"]
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# Fields of the VideoSDK SDK's own Options that have no meaning here: taken, kept, named once in a warning.
SDK_ONLY = frozenset({"executor_type", "permissions", "termination_timeout"})
TOKEN_WORDS = f"a token without blanks or line breaks, at least {SHORTEST} characters long"
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*(?=@)")


class OptionsError(UsageError):
    """An option that does not exist or a value it cannot have. `problems` holds (option, what is wrong)."""

    def __init__(self, problems: list[tuple[str, str]], source: str = "") -> None:
        self.problems = problems
        where = f" ({source})" if source else ""
        super().__init__("; ".join(f"{cut(name, LONGEST_NAME)}{where}: {text}" for name, text in problems))


def _share(value: float) -> float:
    if not (0 < value <= 1 or value == math.inf):
        raise ValueError("a share above 0 and up to 1 (0.75 is 75 %), or inf to never refuse")
    return value


def is_token(text: str) -> bool:
    """It can be a token: it is long enough to be hidden wherever it is told, without hiding ordinary words."""
    return len(text) >= SHORTEST and text.isprintable() and not any(map(str.isspace, text))


def _token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not is_token(text):
        raise ValueError(TOKEN_WORDS)
    return value


def _level(value: object) -> object:
    if not isinstance(value, str):
        return value
    name = value.strip().upper()
    return "WARNING" if name == "WARN" else name


def _option(default: Any, help: str, effect: Effect, *, unit: str = "", sdk: bool = True, **limits: Any) -> Any:
    return Field(default, description=help, json_schema_extra={"effect": effect, "unit": unit, "sdk": sdk}, **limits)


def _seconds(default: float, help: str, effect: Effect = "now", **limits: Any) -> Any:
    return _option(default, help, effect, unit="s", allow_inf_nan=False, le=31_536_000, **limits)


def _megabytes(default: float, help: str) -> Any:
    return _option(default, help, "now", unit="MB", allow_inf_nan=False, ge=0, le=16_777_216)


_PATH = r"^[^\x00]+$"
_REGISTER = _option(False, "take jobs from a registry", "restart")

with warnings.catch_warnings():
    # The field `register` hides ABCMeta.register, which nobody calls on a pydantic model; the name is the SDK's.
    warnings.filterwarnings("ignore", message="Field name .register. .* shadows")

    class OptionsModel(BaseModel):
        """The declaration itself. Sources are checked against it one option at a time (see `check`)."""

        model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

        agent_id: str = _option(
            "", "unique identifier of the agent; the file's stem when not set", "restart",
            min_length=1, max_length=128, pattern=r"^[\w.:@-]+$",
        )  # fmt: skip
        max_processes: int = _option(
            5, "jobs at once; running, starting and idle processes together never exceed it", "now",
            unit="processes", ge=1, le=1000,
        )  # fmt: skip
        num_idle_processes: int = _option(
            1, "pre-warmed processes kept ready, as far as max_processes allows", "now",
            unit="processes", ge=0, le=1000,
        )  # fmt: skip
        max_jobs_per_process: int = _option(
            1, "jobs a process runs before it is replaced; 1 isolates every job, 0 never replaces", "next job",
            unit="jobs", ge=0, le=1_000_000,
        )  # fmt: skip
        load_threshold: Annotated[float, AfterValidator(_share)] = _option(
            0.75, "refuse jobs at this load or more; admit again 0.05 below it for 2 s; inf never refuses", "now",
            unit="share",
        )  # fmt: skip
        load: Literal["cpu", "jobs"] = _option(
            "cpu",
            "what load means: busy share of the CPUs this container may use, or jobs / max_processes",
            "now",
        )
        register: bool = _REGISTER
        registry_url: str | None = _option(
            None, "the registry: https://... asks that API for it, ws(s)://... is the registry itself", "restart",
            pattern=r"^(https?|wss?)://[^\s]+$",
        )  # fmt: skip
        auth_token: Annotated[SecretStr, AfterValidator(_token)] | None = _option(
            None, "token for the registry", "restart"
        )
        auth_token_file: str | None = _option(
            None, "file holding the registry token, read before each connect", "restart", pattern=_PATH
        )
        log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_level)] = (
            _option("INFO", "least severe level of log records kept", "now")
        )
        host: str = _option(
            "127.0.0.1", "address the HTTP routes listen on", "restart", max_length=253, pattern=r"^[\w.:%-]+$"
        )
        port: int = _option(8081, "port the HTTP routes listen on; 0 takes a free one", "restart", ge=0, le=65535)
        control_token: Annotated[SecretStr, AfterValidator(_token)] | None = _option(
            None, "secret that control requests must bring when `host` is not a loopback address", "restart"
        )
        control_token_file: str | None = _option(
            None,
            "file holding the secret that control requests must bring, read for each of them",
            "restart",
            pattern=_PATH,
        )
        memory_warn_mb: float = _megabytes(500.0, "warn from this much memory of a job's whole process tree; 0 never")
        memory_limit_mb: float = _megabytes(
            0.0, "kill a job at this much memory of its whole process tree; 0 unlimited"
        )
        ping_interval: float = _seconds(
            30.0,
            "time between heartbeats of the registry link and round trips through each process's channel",
            gt=0,
        )
        ping_timeout: float = _seconds(
            30.0,
            "how long a process's loop may stand still, or a ping stay unanswered, until it is killed as hung; 0 never",
            ge=0,
        )  # fmt: skip
        max_retry: int = _option(
            16, "registry connection tries in a row before giving up; 0 never gives up", "now",
            unit="tries", ge=0, le=1_000_000,
        )  # fmt: skip
        initialize_timeout: float = _seconds(60.0, "how long a process may take to import and prewarm", gt=0)
        close_timeout: float = _seconds(60.0, "how long a job that is to end may take, and its threads after it", ge=0)
        drain_timeout: float = _seconds(3600.0, "how long running jobs may take to finish after SIGTERM", ge=0)
        job_timeout: float = _seconds(0.0, "how long a job may run; 0 is unlimited", ge=0)

    class Options(OptionsModel):
        """How a worker runs; what is not given keeps its default or comes from a stronger layer.

        Raises:
            OptionsError: an unknown option or an impossible value, naming what is allowed.
        """

        # Again, because pydantic would take the inherited metaclass method for the field's default.
        register: bool = _REGISTER

        if not TYPE_CHECKING:  # keep the generated signature for type checkers and editors

            def __init__(self, **values: Any) -> None:
                sdk = {name: values.pop(name) for name in SDK_ONLY & values.keys()}
                signaling = values.pop("signaling_base_url", None)  # the SDK's name for where its API is
                if signaling:
                    values.setdefault("registry_url", f"https://{signaling}")
                try:
                    super().__init__(**values)
                except ValidationError as error:
                    raise OptionsError(problems_of(error)) from None
                object.__setattr__(self, "_sdk_only", sdk)

        @property
        def sdk_only(self) -> dict[str, Any]:
            """The given fields that only the VideoSDK SDK knows."""
            return dict(getattr(self, "_sdk_only", {}))

        def given(self) -> dict[str, Any]:
            """The options that were set here, as plain JSON values, secrets included."""
            return {name: plain(getattr(self, name)) for name in self.model_fields_set}

        @classmethod
        def local(cls, **changes: Any) -> "Options":
            """The guide's preset for a developer's machine."""
            return cls(**{**PRESETS["local"], **changes})

        @classmethod
        def standard(cls, **changes: Any) -> "Options":
            """The guide's preset for production with moderate traffic."""
            return cls(**{**PRESETS["standard"], **changes})

        @classmethod
        def high_scale(cls, **changes: Any) -> "Options":
            """The guide's preset for many users at once."""
            return cls(**{**PRESETS["high-scale"], **changes})


PRESETS: dict[str, dict[str, Any]] = {
    "local": {"max_processes": 1, "register": False, "log_level": "DEBUG", "host": "localhost", "port": 8081},
    "standard": {"max_processes": 5, "register": True, "log_level": "INFO"},
    "high-scale": {
        "max_processes": 20,
        "num_idle_processes": 5,
        "load_threshold": 0.8,
        "memory_limit_mb": 2000.0,
        "register": True,
        "log_level": "DEBUG",
    },
}

FIELDS: dict[str, FieldInfo] = OptionsModel.model_fields
SECRETS = frozenset({"auth_token", "control_token"})


def meta(name: str) -> dict[str, Any]:
    """`effect` (when a change takes hold) and `unit` of the option."""
    extra = FIELDS[name].json_schema_extra
    return extra if isinstance(extra, dict) else {}


def plain(value: Any) -> Any:
    """A JSON value for an option's value; a secret is revealed."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def shown(name: str, value: Any) -> Any:
    """A value as an answer or a screen may show it: secrets masked, infinity as null."""
    if name in SECRETS:
        return HIDDEN if value is not None else None
    if name == "registry_url" and value is not None:
        return _CREDENTIALS.sub(HIDDEN, value)
    return None if isinstance(value, float) and math.isinf(value) else value


def check(name: str, value: Any, *, text: bool, source: str = "") -> Any:
    """The value an option takes from one source.

    Args:
        text: the source knows only strings (flags, environment).
        source: named in the error: a flag, a variable, a file and line.

    Raises:
        OptionsError: no such option, or a value it cannot have.
    """
    if name not in FIELDS:
        raise OptionsError([(name, "no such option" + nearest(name, FIELDS))], source)
    if value is None and FIELDS[name].default is None:
        return None
    try:
        if text:
            model = OptionsModel.model_validate_strings({name: str(value).strip()})
        else:
            model = OptionsModel.model_validate({name: value})
    except ValidationError as error:
        raise OptionsError(problems_of(error), source) from None
    return getattr(model, name)


def problems_of(error: ValidationError) -> list[tuple[str, str]]:
    """pydantic's findings in one clause each: what is allowed, and what was given."""
    found = []
    for item in error.errors(include_url=False):
        name = str(item["loc"][0] if item["loc"] else item["input"])  # without a place: a name that is no text
        if name not in FIELDS:
            found.append((name, "no such option" + nearest(name, FIELDS)))
            continue
        found.append((name, f"must be {allowed(name)}, not {_given(name, item['input'])}"))
    return found


def _given(name: str, value: object) -> str:
    """The refused value as an error may show it."""
    try:
        text = repr(value)
    except Exception:  # an object of the agent's that cannot even be shown
        text = f"a {type(value).__name__}"
    return HIDDEN if name in SECRETS else cut(_CREDENTIALS.sub(HIDDEN, text), LONGEST_NAME)


def allowed(name: str) -> str:
    """What an option may be, in words: `a whole number from 1 to 1000`."""
    field = FIELDS[name]
    if name == "load_threshold":
        return "a share above 0 and up to 1 (0.75 is 75 %), or inf to never refuse"
    known = choices(name)
    if known:
        return "one of " + ", ".join(known)
    limits = {key: getattr(m, key) for m in field.metadata for key in ("ge", "gt", "le") if hasattr(m, key)}
    words = {"ge": "from", "gt": "above", "le": "up to" if "gt" in limits else "to"}
    span = " ".join(f"{word} {limits[key]:,.10g}" for key, word in words.items() if key in limits)
    unit = f" ({meta(name)['unit']})" if meta(name)["unit"] else ""
    if field.annotation is int:
        return f"a whole number {span}{unit}"
    if field.annotation is float:
        return f"a number {span}{unit}"
    if field.annotation is bool:
        return "true or false"
    if name == "registry_url":
        return "an address that starts with https://, http://, ws:// or wss://"
    if name == "agent_id":
        return "1 to 128 letters, digits or any of _ . : @ -"
    if name == "host":
        return "a host's name or address, for example 127.0.0.1 or ::"
    if name.endswith("_file"):
        return "the path of a file"
    return TOKEN_WORDS if name in SECRETS else "a text that is not empty"


def choices(name: str) -> tuple[str, ...]:
    """The few values an option can have; none where there are many."""
    return {"load": ("cpu", "jobs"), "log_level": LOG_LEVELS}.get(name, ())
