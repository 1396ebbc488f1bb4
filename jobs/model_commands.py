"""`gangen model export` and `gangen explore`: a generator for other programs, and for a browser."""

from __future__ import annotations

import shlex
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganmodel.errors import SpecError
from ganmodel.model_dir import PRETRAINED, read_model
from ganmodel.recipe import read_recipe
from jobs.explorer_page import render_explorer
from jobs.inputs import local_model
from jobs.local import interrupt_on_sigterm
from jobs.model_requests import PAGE_FILE
from jobs.page_server import PageServer
from jobs.preview import write_picture
from jobs.render import size_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.model_requests import ExploreSpec, ModelExportSpec

_CALL = {
    "onnx": "import onnxruntime; f = lambda **x: onnxruntime.InferenceSession({out!r}).run(['images'], x)[0]",
    "savedmodel": "import tensorflow as tf; f = lambda **x: tf.saved_model.load({out!r}).serve(**x)['images']",
}


_SPECIAL = '"$`\\!'
"""What a shell takes notice of between double quotes."""


def run_model_export(spec: ModelExportSpec) -> tuple[dict[str, Any], str]:
    """Write a generator in another format and return the facts and the text of it.

    Raises:
        SpecError: it cannot be written there.
    """
    out = Path(spec.out)
    if spec.to == "onnx":
        from ganmodel.onnx_graph import build_onnx

        size_bytes = write_picture(spec.out, build_onnx(read_recipe(local_model(spec.model))))
    else:
        from ganmodel.saved_model import export_saved_model

        try:
            export_saved_model(local_model(spec.model), out)
        except OSError as err:
            raise SpecError(f"--out {spec.out}: cannot be written ({err.strerror})") from err
        size_bytes = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    info = read_model(local_model(spec.model))
    latents = f"latents float32 [n, {info.generator.latent_dim}], labels int64 [n]"
    facts = {**spec.model_dump(mode="json"), "model_digest": info.digest, "bytes": size_bytes}
    lines = [
        f"wrote {spec.out}, {size_text(size_bytes)}: the generator {info.name}, {info.digest[:12]}",
        f"{latents} -> images uint8 [n, 28, 28]"
        + (" (pip install onnxruntime)" if spec.to == "onnx" else ""),
        f"next: {_use(spec, info.generator.latent_dim)}",
    ]
    return facts, "\n".join(lines)


def _use(spec: ModelExportSpec, latent_dim: int) -> str:
    """Return a command that draws with what was exported."""
    feed = f"latents=np.zeros((1, {latent_dim}), 'f4'), labels=np.array([3])"
    code = f"import numpy as np; {_CALL[spec.to].format(out=spec.out)}; print(f({feed}))"
    return f"python -c {shlex.quote(code) if set(code) & set(_SPECIAL) else chr(34) + code + chr(34)}"


def run_explore(spec: ExploreSpec, tell: Callable[[dict[str, Any], str], None], *, has_screen: bool) -> None:
    """Write the page of a generator, or serve it until Ctrl-C.

    Args:
        spec: the page.
        tell: is given the facts and the text of what is there, before the page is served.
        has_screen: whether to open a browser.

    Raises:
        SpecError: the page cannot be written, or the port not be had.
    """
    option = "" if spec.model == PRETRAINED else f" --model {shlex.quote(spec.typed_model)}"
    if spec.export is not None:
        # A page that goes elsewhere does not tell of this machine's folders.
        page = render_explorer(read_recipe(local_model(spec.model)), option and " --model DIR")
        path = str(Path(spec.export) / PAGE_FILE)
        size_bytes = write_picture(path, page, "--export")
        facts = {**spec.model_dump(mode="json"), "page": path, "bytes": size_bytes}
        text = f"wrote {path}, {size_text(size_bytes)}: it needs no server\nnext: open {Path(path).as_uri()}"
        tell(facts, text)
        return
    try:
        server = PageServer(render_explorer(read_recipe(local_model(spec.model)), option), spec.port)
    except OSError as err:
        raise SpecError(
            f"--port {spec.port}: cannot be had ({err.strerror}); leave it out for a free one"
        ) from err
    interrupt_on_sigterm()
    with server, suppress(KeyboardInterrupt):
        facts = {**spec.model_dump(mode="json"), "url": server.url}
        tell(facts, f"the page is at {server.url} for this machine alone\nnext: Ctrl-C stops it")
        if has_screen:
            webbrowser.open(server.url)
        server.serve_forever()
