"""The names of the flags, without the model behind them: importing that costs a fifth of the time to the first paint.

A test holds them to the options' declaration.
"""

FLAGGED = (
    "agent_id", "max_processes", "num_idle_processes", "max_jobs_per_process", "load_threshold", "load",
    "register", "registry_url", "auth_token_file", "log_level", "host", "port", "control_token_file",
    "memory_warn_mb", "memory_limit_mb", "ping_interval", "ping_timeout", "max_retry", "initialize_timeout",
    "close_timeout", "drain_timeout", "job_timeout",
)  # fmt: skip
SWITCHES = ("register",)  # true or false, without a value
PRESET_NAMES = ("high-scale", "local", "standard")
