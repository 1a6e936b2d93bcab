"""Stops a recipe before it trains when `train plan --json` says that data, memory or disk will not do.

    runs/enough.py PLAN --least TOKENS_A_PARAMETER

Ends with 0 and a line of figures, or with 3 (too little data) or 4 (too little memory or disk) and what to do.
"""

import argparse
import json
import os
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("plan", type=Path)
    parser.add_argument("--least", type=float, default=10.0)
    call = parser.parse_args()
    plan = json.loads(call.plan.read_bytes())
    parameters, tokens, ratio = plan["parameters"]["total"], plan["tokens"], plan["tokens_per_parameter"]
    epochs = max((source["epochs"] for source in plan["sources"]), default=0.0)
    print(
        f"{parameters:,} parameters, {tokens:,} tokens in {plan['steps']:,} steps: {ratio:.2f} a parameter, at most "
        f"{epochs:.1f} times the same text"
    )
    if ratio < call.least:
        print(
            f"Too little data: {call.least * parameters:,.0f} tokens are asked for. Give more documents, "
            "go through them up to four times (-s data.tokens=… in PRETRAIN), take a smaller SIZE, or lower LEAST."
        )
        return 3
    if call.least and any(source["too_often"] for source in plan["sources"]):
        print(
            "A source is drawn more than four times; lower STEPS or its weight, or set LEAST=0 to do so all the same."
        )
        return 3
    here = [estimate for estimate in plan["estimates"] if estimate["share_is"] == "measured"]
    if here and not here[0]["fits"]:
        most = here[0]["largest_micro_rows"]
        print(
            f"Too little memory on {here[0]['device']}: "
            + (f"add -s micro_rows={most} to PRETRAIN." if most else "take a smaller SIZE, or -s checkpointing=true.")
        )
        return 4
    free = os.statvfs(call.plan.parent)
    free_bytes = free.f_bavail * free.f_frsize
    if plan["disk_bytes"] > free_bytes:
        print(f"Too little room: the run takes up to {plan['disk_bytes']:,} bytes, {free_bytes:,} are free.")
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
