"""``piwsl-lab check``: what data files hold, and what about them looks wrong."""

from __future__ import annotations

import argparse
import warnings
from dataclasses import asdict
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.description = (
        "Print what data sets hold and what looks wrong: copies with two energies, units and signs that do not match, "
        "outliers, mixed charges and methods. The exit code is 1 where something is wrong."
    )
    parser.add_argument("data", nargs="+", metavar="NAME|FILE", help="see `piwsl-lab datasets`, or files of your own")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the findings here")


def run(arguments: argparse.Namespace) -> int:
    """Report on every data set; 1 when something is wrong in one of them."""
    from piwsl_lab.data.catalog import load, own_files
    from piwsl_lab.data.checked import CheckWarning
    from piwsl_lab.support.files import write_json
    from piwsl_lab.support.outputs import check_outputs

    check_outputs(
        {"--json": arguments.json}, {"NAME|FILE": [file for name in arguments.data for file in own_files(name)]}
    )
    reports = []
    try:
        for name in arguments.data:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CheckWarning)  # the report says all of it
                reports.append(load(name).check())
        if arguments.json:  # before the table: its reader may have gone away
            write_json(arguments.json, [asdict(report) for report in reports])
    finally:
        for report in reports:
            print(f"{report}\n")
    return 1 if any(report.wrong for report in reports) else 0
