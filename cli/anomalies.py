"""`trefoil anomalies`: which of these rides are abnormal, from files, without a cloud."""

import json
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.console import Columns, Dates, Decimal, Json, err, progress, say, say_rejected, zone_name
from cli.output import readable, replaced_directory
from layers.runtime.errors import InputError


class ManyFiles(typer.core.TyperCommand):
    """Lets `--history` take all the names that follow it, as a shell pattern gives them, but leave one to FILES."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each of its names. Raises InputError when it is not clear which are FILES."""
        spread: list[str] = []
        within = False
        for argument in args:
            if within and not argument.startswith("-") and spread[-1] != "--history":
                spread.append("--history")
            within = argument == "--history" or (within and not argument.startswith("-"))
            spread.append(argument)
        given = self.make_parser(ctx).parse_args(list(spread))[0]
        alone = not given.get("files")
        if alone and len(given.get("history") or ()) > 2:
            raise InputError("takes every name that follows it, and none is left: put FILES first", field="--history")
        return super().parse_args(ctx, args if alone else spread)


def anomalies(
    files: Annotated[
        list[Path], typer.Argument(help="CSV or Parquet: ride_id, ride_dist (km), ride_time (h), or start and end")
    ],
    out: Annotated[Path, typer.Option(help="directory to make, or of an earlier result to replace")],
    history: Annotated[list[Path] | None, typer.Option(help="earlier rides to learn from, one file or several")] = None,
    verdicts: Annotated[
        Path | None, typer.Option(help="what analysts said: ride_id, verdict (confirmed or false_alarm), at")
    ] = None,
    preset: Annotated[Literal["tlc"] | None, typer.Option(help="public file format: tlc, NYC trip records")] = None,
    column: Columns = None,
    timezone: Annotated[str, typer.Option(help="IANA zone of times without one; else TREFOIL_TIMEZONE")] = "",
    dates: Dates = None,
    decimal: Decimal = None,
    params: Annotated[
        Literal["robust", "book"], typer.Option(help="book: its scaling, eps .3, 10 neighbours")
    ] = "robust",
    max_speed: Annotated[
        float | None,
        typer.Option(min=1, help="km/h; a faster ride is impossible; unless named 160, by the book any is"),
    ] = None,
    engine: Annotated[str, typer.Option(help="local, ray, or ray://HOST:PORT")] = "local",
    json_output: Json = False,
) -> dict[str, Any]:
    """Flag abnormal rides: writes anomalies.parquet, rejected.parquet, summary.json and plot.png."""
    from functions.clustering.contracts import VerdictReport
    from functions.clustering.domain.model import NAMED
    from functions.clustering.domain.table import Format
    from functions.clustering.domain.verdicts import in_words as in_sentence
    from functions.clustering.files import FileJob
    from layers.tables import Reading, in_words, named_columns

    started = time.perf_counter()
    history = history or []
    given = [*files, *history, *([verdicts] if verdicts else [])]
    for path in given:
        readable(path)
    if params == "book" and history:
        raise InputError("the book's method takes no history", field="--history")
    parameters = NAMED[params].model_copy(update={"max_speed_kmh": max_speed} if max_speed else {})
    form = Format(preset, _zone(timezone, preset), Reading(dates, decimal, named_columns(column or ())))
    with replaced_directory(out, inputs=given) as fresh:
        with progress() as bar:
            task = bar.add_task("labelling", total=0)
            summary = FileJob(files, history, form, parameters, verdicts).run(
                fresh, engine, lambda **shown: bar.update(task, **shown)
            )
        for name, understood in summary["understood"].items():
            err.print(f"{name}: {in_words(understood)}; {understood['columns']}", markup=False, soft_wrap=True)
        if verdicts:
            sentence = in_sentence(VerdictReport.model_validate(summary["verdicts"]))
            err.print(f"{verdicts}: {sentence}", markup=False, soft_wrap=True)
        for warning in summary["warnings"]:
            err.print(f"warning: {warning}", markup=False, soft_wrap=True)
        summary["seconds"] = round(time.perf_counter() - started, 2)
        (fresh / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    say(
        f"{summary['anomalies']:,} of {summary['rides']:,} rides are anomalous "
        f"({summary['anomalies'] / summary['rides']:.1%}), {summary['rejected']:,} rows rejected "
        f"({summary['seconds']} s)\nresults in {out}"
    )
    say_rejected(summary["rejected_for"])
    return summary


def _zone(name: str, preset: str | None) -> str:
    """The zone of times without one: as given, else by the setting, else of trip records New York's."""
    from functions.clustering.settings import ClusteringSettings

    settings = ClusteringSettings()
    named = preset is None or "timezone" in settings.model_fields_set
    return zone_name(name or (settings.timezone if named else "America/New_York"))
