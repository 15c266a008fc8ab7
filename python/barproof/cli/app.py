"""The application: commands, global options, and what happens when something goes wrong."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from barproof._core import __version__
from barproof.cli import (
    audit,
    backtest,
    bundle,
    check,
    demo,
    doctor,
    evaluate,
    explain,
    features,
    fetch,
    init,
    labels,
    ledger,
    live,
    parity,
    portfolio,
    sweep,
    tables,
    train,
    verify,
)
from barproof.cli.examples import epilog
from barproof.cli.exits import (
    CODES,
    INTERRUPTED,
    OK,
    PIPE,
    USAGE,
    ReaderGoneError,
    StoppedError,
)
from barproof.cli.exits import explain as explain_error
from barproof.cli.output import emit_json

__all__ = ["app", "run"]

CODES_TEXT = (
    "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in CODES.items()) + "."
)

# The framework may vendor click or depend on it, so its classes are found through its own names.
_ClickError: type[Exception] = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)

app = typer.Typer(
    name="barproof",
    help="Bulletproof backtests for machine-learned trading models.",
    epilog=epilog("", CODES_TEXT),
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Command = TypeVar("Command", bound=Callable[..., int])


def _version(value: bool) -> None:
    """Print the version, and leave."""
    if value:
        sys.stdout.write(f"barproof {__version__}\n")
        raise typer.Exit(OK)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the engine's version."
        ),
    ] = False,
) -> None:
    """Bulletproof backtests for machine-learned trading models."""
    _help_if_alone(context)


def _help_if_alone(context: typer.Context) -> None:
    """Show the help where no command was named."""
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")
        raise typer.Exit(USAGE)


def _guarded(body: Command) -> Command:
    """Carry Ctrl-C and a closed pipe past the framework, which would answer them itself."""

    @functools.wraps(body)
    def command(*args: Any, **options: Any) -> int:
        """Run the body, and let two exceptions through in disguise."""
        try:
            return body(*args, **options)
        except KeyboardInterrupt as stop:
            raise StoppedError(str(stop) or "interrupted") from stop
        except BrokenPipeError as gone:
            raise ReaderGoneError from gone

    return command  # type: ignore[return-value]


for _body in (
    init.init,
    fetch.fetch,
    check.check,
    features.features,
    labels.labels,
    train.train,
    evaluate.evaluate,
    backtest.backtest,
    sweep.sweep,
    portfolio.portfolio,
    audit.audit,
    parity.parity,
    verify.verify,
    live.live,
    explain.explain,
    demo.demo,
    doctor.doctor,
    tables.rules,
    tables.metrics,
):
    app.command(epilog=epilog(_body.__name__, CODES_TEXT))(_guarded(_body))


def _group_root(context: typer.Context) -> None:
    """Show the help of a group that was named alone."""
    _help_if_alone(context)


for _group in (ledger, bundle):
    _typer = typer.Typer(rich_markup_mode="rich", context_settings=app.info.context_settings)
    _called = _group.__name__.rpartition(".")[2]
    for _name, _part in _group.COMMANDS.items():
        _shown = epilog(f"{_called} {_name}", CODES_TEXT)
        _typer.command(_name, epilog=_shown)(_guarded(_part))
    _shown = epilog(_called, CODES_TEXT)
    _typer.callback(invoke_without_command=True, epilog=_shown, help=_group.HELP)(_group_root)
    app.add_typer(_typer, name=_called)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; whatever happens becomes an exit code and at most one line on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    try:
        code = app(args=words, prog_name="barproof", standalone_mode=False)
        sys.stdout.flush()
        return int(code or OK)
    except (KeyboardInterrupt, StoppedError) as stop:
        return _fail(words, stop, str(stop) or "interrupted", INTERRUPTED)
    except (BrokenPipeError, ReaderGoneError):
        # What is still buffered has nowhere to go; the interpreter must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE
    except _ClickError as error:
        return _fail(words, error, _usage(error), USAGE)
    except SystemExit as leave:
        if isinstance(leave.__context__, BrokenPipeError):
            # The help is written by the framework's console, which leaves the process where its reader has.
            return PIPE
        return leave.code if isinstance(leave.code, int) else OK
    except BaseException as error:
        # Panics of extension modules derive from BaseException.
        message, code = explain_error(error)
        return _fail(words, error, message, code)


_REFUSED = re.compile(
    r"Invalid value for (?P<where>'[^']+'): '?(?P<value>.*?)'? (?P<bound>is not .+)"
)


def _usage(error: Any) -> str:
    """Message of the framework in the house's form, with the value that was given and the way to the help."""
    message = (
        " ".join(error.format_message().split()).rstrip(".?").replace(". Did you", "; did you")
    )
    found: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    if found and message.startswith("Invalid value for "):
        # What pydantic says of a value leaves the value out.
        where = message.removeprefix("Invalid value for ").partition(": ")[0]
        bound = str(found[0]["msg"]).replace("Input should be", "must be").partition(", unable")[0]
        message = f"invalid value {found[0]['input']!r} for {where}: {bound}"
    elif refused := _REFUSED.fullmatch(message):
        # What came before pydantic says it within the sentence.
        message = f"invalid value '{refused['value']}' for {refused['where']}: {refused['bound']}"
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "barproof"
    return f"{message[:1].lower()}{message[1:]}; see `{path} --help`"


def _fail(words: Sequence[str], error: BaseException, message: str, code: int) -> int:
    """Say what went wrong: one line on stderr, and the one document where JSON was asked for."""
    console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
    console.print(Text("error: ", style="bold red").append(Text(message, style="default")))
    if "--json" in words:
        kind = (
            type(error.__cause__ or error).__name__
            if isinstance(error, StoppedError)
            else type(error).__name__
        )
        command = next((word for word in words if not word.startswith("-")), None)
        emit_json(
            {
                "command": command,
                "version": __version__,
                "exit_code": code,
                "error": {"kind": kind, "message": message},
            }
        )
    return code
