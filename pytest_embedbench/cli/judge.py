"""``embedbench judge``: let a language model compare the rankings of stored results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_embedbench.cli.numbers import Decimal, WholeNumber
from pytest_embedbench.core import bounds
from pytest_embedbench.errors import RatingError

if TYPE_CHECKING:
    from pytest_embedbench.rating.judges.entries import Entry


@click.command("judge")
@click.argument("results", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="FOLDER_OR_NAME",
    help="Dataset of the results, whose texts the judge sees; repeatable.",
)
@click.option(
    "--endpoint", required=True, metavar="URL", help="Base address of an OpenAI-compatible server: https://HOST/v1"
)
@click.option("--model", required=True, help="Name of the judging model at the endpoint.")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of judgments to write or to continue, JSON lines.",
)
@click.option(
    "--api-key-env", default="OPENAI_API_KEY", show_default=True, help="Environment variable that holds the API key."
)
@click.option(
    "--k",
    type=WholeNumber(1, bounds.MAX_DEPTH),
    default=10,
    show_default=True,
    help="Documents of each ranking that the judge sees.",
)
@click.option(
    "--queries",
    type=WholeNumber(0, bounds.MAX_SHOWN_QUERIES),
    default=20,
    show_default=True,
    help="Queries sampled from each dataset; 0 for all.",
)
@click.option(
    "--seed", type=WholeNumber(0, bounds.MAX_SEED), default=0, show_default=True, help="Seed of the sample of queries."
)
@click.option(
    "--concurrency",
    type=WholeNumber(1, bounds.MAX_REQUESTS_IN_FLIGHT),
    default=8,
    show_default=True,
    help="Requests in flight.",
)
@click.option(
    "--max-chars",
    type=WholeNumber(1, bounds.MAX_CHARACTERS),
    default=1000,
    show_default=True,
    help="Characters of each document that the judge sees.",
)
@click.option(
    "--timeout",
    type=Decimal(0, bounds.MAX_WAIT_SECONDS, above=True),
    default=120.0,
    show_default=True,
    help="Seconds after which a request is given up.",
)
@click.option(
    "--patience",
    default="5 min",
    show_default=True,
    help="How long the server may be loading, out of quota or stopped, without any answer in between.",
)
@click.option(
    "--requests-per-minute",
    type=Decimal(bounds.MIN_REQUESTS_PER_MINUTE, bounds.MAX_REQUESTS_PER_MINUTE),
    help="Pace of all requests.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME=VALUE",
    help="Header of every request, e.g. 'api-key=$AZURE_KEY' in single quotes: $NAME stands for an environment "
    "variable, which this command reads itself; repeatable.",
)
@click.option(
    "--retries",
    type=WholeNumber(0, bounds.MAX_RETRIES),
    default=100,
    show_default=True,
    help="Retries of all requests together.",
)
@click.option(
    "--price-in", type=Decimal(0, bounds.MAX_PRICE), help="USD per million prompt tokens, to report the cost."
)
@click.option("--price-out", type=Decimal(0, bounds.MAX_PRICE), help="USD per million tokens of answers.")
@click.option("--exclude", multiple=True, metavar="MODEL", help="Model to leave out; repeatable.")
def judge(  # noqa: PLR0913 - click gives each option as an argument
    *,
    results: tuple[Path, ...],
    data: tuple[str, ...],
    endpoint: str,
    model: str,
    out: Path,
    api_key_env: str,
    k: int,
    queries: int,
    seed: int,
    concurrency: int,
    max_chars: int,
    timeout: float,
    patience: str,
    requests_per_minute: float | None,
    headers: tuple[str, ...],
    retries: int,
    price_in: float | None,
    price_out: float | None,
    exclude: tuple[str, ...],
) -> None:
    """Let a language model compare the rankings of RESULTS folders.

    Models are compared two at a time. For each sampled query, the judge sees both rankings, without names and in both
    orders, and says which one answers better; if its verdict changes with the order, the outcome is a tie. No relevance
    judgments are needed. The texts of queries and documents are sent to the endpoint.

    Run the command again with the same file to continue after an interruption, or with more --queries to add to it.
    """
    import asyncio
    import time

    from tqdm import tqdm

    from pytest_embedbench.cli.data_option import find_datasets
    from pytest_embedbench.core.parsing import parse_at
    from pytest_embedbench.core.thresholds import parse_duration
    from pytest_embedbench.core.waits import ANNOUNCER
    from pytest_embedbench.rating.judges.data import match_datasets
    from pytest_embedbench.rating.judges.entries import one_of_each, read_entries
    from pytest_embedbench.rating.judges.llm import Account, JudgeSettings, open_questions, questions
    from pytest_embedbench.rating.judges.llm import judge as ask
    from pytest_embedbench.rating.judges.log import open_log
    from pytest_embedbench.rating.judges.summary import summary
    from pytest_embedbench.remote.settings import EndpointSettings

    if (price_in is None) != (price_out is None):
        raise click.UsageError("--price-in and --price-out go together")
    prices = None if price_in is None or price_out is None else (price_in, price_out)
    named_headers = dict(_named_header(header) for header in headers)
    own_authorization = any(name.casefold() == "authorization" for name in named_headers)
    server = EndpointSettings(
        url=endpoint,
        api_key_env="" if own_authorization else api_key_env,
        headers=named_headers,
        timeout=timeout,
        patience=parse_at("--patience", parse_duration, patience),
        requests_per_minute=requests_per_minute,
        concurrency=concurrency,
        retries=retries,
    )
    settings = JudgeSettings(model=model, k=k, max_chars=max_chars, queries=queries or None, seed=seed)
    entries, notes = one_of_each(_without(read_entries(results), exclude))
    for note in notes:
        click.echo(f"note: {note}", err=True)
    all_questions = list(questions(entries, match_datasets(entries, find_datasets(data)), settings))
    if not all_questions:
        raise RatingError("nothing to compare: no two models have results on the same data")
    account = Account()
    started = time.perf_counter()
    with open_log(out, settings.judge) as log:
        left = open_questions(all_questions, log)
        account.resumed = len(all_questions) - len(left)
        try:
            # disable=None shows no bar unless stderr is a terminal.
            with (
                tqdm(total=len(left), desc="judging", unit="question", disable=None, leave=False) as bar,
                ANNOUNCER.heard_by(bar.set_postfix_str),
            ):
                asyncio.run(ask(left, log, server, settings, account=account, progress=bar.update))
        finally:  # also after Ctrl-C and errors: the judgments made until then are in the log, and have cost money
            for line in summary(account, log.judgments, prices, time.perf_counter() - started):
                click.echo(line)
    if account.failures and not account.judged and not account.resumed:
        raise RatingError("no judgment could be made")


def _named_header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        # The text is not shown: it may hold a key that the shell has filled in.
        raise click.UsageError("--header is not written like 'api-key=$AZURE_KEY', in single quotes")
    return name.strip(), value.strip()


def _without(entries: list[Entry], exclude: Sequence[str]) -> list[Entry]:
    from pytest_embedbench.errors import ConfigurationError, closest

    models = {entry.model for entry in entries}
    for name in exclude:
        if name not in models:
            raise ConfigurationError("--exclude", f"no result is of a model {name!r}; {closest(name, models)}")
    return [entry for entry in entries if entry.model not in exclude]
