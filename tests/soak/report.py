"""The picture of a soak, and a page around it that needs nothing else."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path

from tests.soak.growth import WARM_UP, Sample

__all__ = ["write_report"]

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>wsframe: soak</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }}
img {{ max-width: 100%; }} td {{ padding: .1rem 2rem .1rem 0; }}
</style>
<h1>Soak: {verdict}</h1>
{faults}
<table>{rows}</table>
<p><img alt="Memory, descriptors, tasks and latency over time" src="data:image/png;base64,{picture}"></p>
"""


def write_report(folder: Path, samples: Sequence[Sample], lines: list[tuple[str, str]], faults: list[str]) -> None:
    """Write ``soak.png`` and ``index.html``."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / "soak.png"
    draw(picture, samples)
    page = PAGE.format(
        verdict="growth or faults" if faults else "no growth",
        faults="".join(f"<p><strong>{escape(fault)}</strong></p>" for fault in faults),
        rows="".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in lines),
        picture=b64encode(picture.read_bytes()).decode(),
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def draw(path: Path, samples: Sequence[Sample]) -> None:
    """Draw memory, numbers of objects, and latency, over the same time."""
    from matplotlib.figure import Figure

    times = [sample.at for sample in samples]
    figure = Figure(figsize=(11, 9), layout="constrained")
    memory, things, latency = figure.subplots(3, sharex=True)
    memory.plot(times, [sample.resident_kib / 1024 for sample in samples], color="tab:blue")
    memory.set_ylabel("resident MiB")
    memory.set_ylim(0, 1.15 * max(sample.resident_kib for sample in samples) / 1024)
    things.plot(times, [sample.descriptors for sample in samples], label="descriptors")
    things.plot(times, [sample.clients for sample in samples], label="clients")
    things.plot(times, [sample.tasks for sample in samples], label="trio tasks")
    things.set_ylim(0, 1.3 * max(sample.descriptors for sample in samples))
    things.legend(loc="lower right", ncols=3)
    latency.plot(times, [sample.p50 for sample in samples], label="p50")
    latency.plot(times, [sample.p99 for sample in samples], label="p99")
    latency.set_ylabel("echo, ms")
    latency.set_yscale("log")
    latency.legend(loc="upper right", ncols=2)
    latency.set_xlabel("seconds; the shaded part is warm-up, and not judged")
    for axes in (memory, things, latency):
        axes.grid(alpha=0.3)
        axes.axvspan(0, WARM_UP * times[-1], color="grey", alpha=0.12)
    figure.savefig(path, dpi=90)
