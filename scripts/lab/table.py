# SPDX-License-Identifier: GPL-2.0
"""The README's table, made from results.json."""

from __future__ import annotations

import json
from pathlib import Path

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
_DRIVERS = {"rust": "ours (Rust)", "c": "C twin"}
# Without qemu_kvm, which has a case or two.
_VMMS = {"hospes": "hospes (KVM)", "qemu": "QEMU's device"}


def render(results: Path) -> str:
    """Drivers by VMMs and kernels: how many cases passed of how many."""
    document = json.loads(results.read_text())
    cells: dict[tuple[str, str], dict[tuple[str, str], list[bool]]] = {}
    for one in document["results"]:
        machine = one["machine"]
        if machine and machine["module"] != "none" and one["skip"] is None:
            row = (machine["module"], machine["driver"])
            column = (machine["vmm"], machine["kernel"])
            cells.setdefault(row, {}).setdefault(column, []).append(one["ok"])
    columns = [(vmm, kernel) for vmm in _VMMS for kernel in ("stock", "lab")]
    lines = ["| driver | " + " | ".join(f"{_VMMS[v]}, {k} kernel" for v, k in columns) + " |",
             "|---" * (len(columns) + 1) + "|"]
    for module, driver in sorted(cells, key=lambda row: (row[0], row[1] == "c")):
        values = [_cell(cells[module, driver].get(column)) for column in columns]
        lines.append(f"| `{module}`, {_DRIVERS[driver]} | " + " | ".join(values) + " |")
    lines += ["", *_footnotes(document["lab"])]
    return "\n".join(lines)


def update(readme: Path, table: str) -> None:
    """Puts the table between the README's markers."""
    text = readme.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"error: {readme} has no place for the table ({BEGIN} … {END})")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    readme.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def _cell(oks: list[bool] | None) -> str:
    if not oks:
        return "not run"
    return f"{sum(oks)} of {len(oks)}"


def _footnotes(lab: dict[str, object]) -> list[str]:
    kernels = lab.get("kernels") or {}
    named = ", ".join(f"{name}: {release}" for name, release in sorted(kernels.items()))
    text = f"Cases passed on {lab.get('date')}; {named}; KVM {lab.get('kvm')}"
    deaths = lab.get("lab_deaths") or []
    if deaths:
        text += f"; {len(deaths)} boots repeated because the lab itself failed"
    return [text + "."]
