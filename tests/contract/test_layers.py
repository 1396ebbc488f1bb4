"""The house keeps its shape: imports only go down, heavy imports wait, modules and functions stay small."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Top to bottom. A module may import what stands below it, never beside or above. A new file takes a line here.
LAYERS = (
    "jobs.cli",
    "jobs.cli_art",
    "jobs.cli_evaluate",
    "jobs.cli_dataset",
    "jobs.cli_jobs",
    "jobs.cli_model",
    "jobs.cli_train",
    "jobs.cli_options",
    "jobs.dataset_commands",
    "jobs.job_commands",
    "jobs.model_commands",
    "jobs.explorer_page",
    "jobs.page_server",
    "jobs.pictures",
    "jobs.preview",
    "jobs.terminal",
    "jobs.model_requests",
    "jobs.picture_requests",
    "jobs.art_requests",
    "jobs.hands_file",
    "jobs.submit_evaluate",
    "jobs.submit",
    "jobs.requests",
    "jobs.requests_generate",
    "jobs.checks",
    "jobs.entrypoint",
    "jobs.remote",
    "jobs.job_facts",
    "jobs.upload",
    "jobs.dashboard",
    "jobs.addresses",
    "jobs.ray_token",
    "jobs.local",
    "jobs.report",
    "jobs.report_sections",
    "jobs.report_charts",
    "jobs.render_dataset",
    "jobs.render",
    "jobs.render_evaluation",
    "jobs.driver",
    "jobs.export",
    "jobs.remedy",
    "jobs.status",
    "jobs.repair",
    "jobs.verify",
    "jobs.training",
    "jobs.training_watch",
    "jobs.train_journal",
    "jobs.setbacks",
    "jobs.evaluation",
    "jobs.findings",
    "jobs.fanout",
    "jobs.pool",
    "jobs.crew",
    "jobs.journal",
    "jobs.fleet",
    "jobs.losses",
    "jobs.node_watch",
    "jobs.tasks",
    "jobs.foreign",
    "jobs.preflight",
    "jobs.remote_blocks",
    "jobs.shards",
    "jobs.measure",
    "jobs.reading",
    "jobs.regenerate",
    "jobs.check_files",
    "jobs.check_shard",
    "jobs.faults",
    "jobs.begin",
    "jobs.finish",
    "jobs.card",
    "jobs.card_examples",
    "jobs.tfds_metadata",
    "jobs.progress",
    "jobs.run_notes",
    "jobs.capacity",
    "jobs.label_store",
    "jobs.manifest",
    "jobs.plan_files",
    "jobs.plan",
    "jobs.writers",
    "jobs.writers.idx",
    "jobs.writers.parquet",
    "jobs.writers.tfrecord",
    "jobs.writers.tfrecord_block",
    "jobs.writers.webdataset",
    "jobs.writers.encode",
    "jobs.specs",
    "jobs.inputs",
    "jobs.storage",
    "jobs.object_storage",
    "jobs.object_access",
    "jobs.local_storage",
    "jobs.scratch",
    "jobs.leaving",
    "jobs.target",
    "jobs.dataset_spec",
    "jobs",
    "ganmodel.evaluation",
    "ganmodel.feature_figures",
    "ganmodel.copying",
    "ganmodel.cas",
    "ganmodel.extractors",
    "ganmodel.figures",
    "ganmodel.classifiers",
    "ganmodel.metrics.prdc",
    "ganmodel.metrics.neighbours",
    "ganmodel.metrics.frechet",
    "ganmodel.metrics.scores",
    "ganmodel.metrics",
    "ganmodel.trainer",
    "ganmodel.checkpoint",
    "ganmodel.steps",
    "ganmodel.function",
    "ganmodel.brush",
    "ganmodel.saved_model",
    "ganmodel.adapters",
    "ganmodel.torch_stream",
    "ganmodel.sampler",
    "ganmodel.inference",
    "ganmodel.monitor",
    "ganmodel.networks",
    "ganmodel.tutorial",
    "ganmodel.losses",
    "ganmodel.layers",
    "ganmodel.data",
    "ganmodel.presets",
    "ganmodel.onnx_graph",
    "ganmodel.directions",
    "ganmodel.recipe",
    "ganmodel.model_dir",
    "ganmodel.device",
    "ganmodel.label_file",
    "ganmodel.raster",
    "ganmodel.vectors",
    "ganmodel.lettering",
    "ganmodel.config",
    "ganmodel.hands",
    "ganmodel.ink",
    "ganmodel.rows",
    "ganmodel.latents",
    "ganmodel.labels",
    "ganmodel.png_block",
    "ganmodel.png",
    "ganmodel.compiled",
    "ganmodel.weights",
    "ganmodel.locking",
    "ganmodel.errors",
    "ganmodel",
)

# Who may load a heavy package when it is itself imported. Everyone else imports it, and these, in a function.
NETWORK = frozenset(
    {
        "ganmodel.classifiers",
        "ganmodel.layers",
        "ganmodel.losses",
        "ganmodel.networks",
        "ganmodel.steps",
        "ganmodel.tutorial",
    }
)
LOOPS = frozenset({"ganmodel.compiled", "ganmodel.png_block", "jobs.writers.tfrecord_block"})
MAY_LOAD = {
    "tensorflow": NETWORK,
    "keras": NETWORK,
    "ray": frozenset({"jobs.tasks"}),
    "numba": LOOPS,
}

# ganmodel knows nothing of Ray, but for the adapter that hands rows to Ray Data, when it is called.
KNOWS_RAY = frozenset({"ganmodel.adapters"})

# What a package hands to its users stands above it; it is imported when it is asked for.
PUBLIC = {"ganmodel": frozenset({"ganmodel.function"})}

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 60


class Imports(ast.NodeVisitor):
    """What a module imports: `found` holds (dotted name, line, whether it loads with the module)."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int, bool]] = []
        self._on_load = True

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [(alias.name, node.lineno, self._on_load) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        source = "." * node.level + (node.module or "")
        for alias in node.names:
            is_module = f"{source}.{alias.name}" in LAYERS
            name = f"{source}.{alias.name}" if is_module else source
            self.found.append((name, node.lineno, self._on_load))

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in {"import_module", "__import__"}:
            name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else "?"
            self.found.append((str(name), node.lineno, self._on_load))
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        is_typing = ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        if is_typing:
            self._visit_later(node.body)
        for child in node.orelse if is_typing else [*node.body, *node.orelse]:
            self.visit(child)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        self._visit_later(node.body)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def _visit_later(self, body: list[ast.stmt]) -> None:
        before, self._on_load = self._on_load, False
        for child in body:
            self.visit(child)
        self._on_load = before


def import_faults(module: str, tree: ast.Module) -> list[str]:
    """Return one line for each import of `module` that goes up, leaves its package or loads too much."""
    visitor = Imports()
    visitor.visit(tree)
    faults = []
    for name, line, on_load in visitor.found:
        package = name.partition(".")[0]
        if name.startswith(".") or name == "?":
            faults.append(f"{line}: write out what is imported, got {name}")
        elif package in {"jobs", "ganmodel"}:
            if name not in LAYERS:
                faults.append(f"{line}: {name} has no place in LAYERS")
            elif LAYERS.index(name) <= LAYERS.index(module) and (
                on_load or name not in PUBLIC.get(module, ())
            ):
                faults.append(f"{line}: imports up, {name}")
        strangers = {"jobs"} if module in KNOWS_RAY else {"jobs", "ray"}
        if package in strangers and module.startswith("ganmodel"):
            faults.append(f"{line}: ganmodel knows nothing of {package}")
        for heavy, allowed in MAY_LOAD.items():
            if on_load and module not in allowed and (package == heavy or name in allowed):
                faults.append(f"{line}: loads {heavy} at import, through {name}")
    return faults


def remote_faults(module: str, tree: ast.Module) -> list[str]:
    """Return one line for each use of `ray.remote`, decorator or call, outside jobs.tasks."""
    if module == "jobs.tasks":
        return []
    nodes = list(ast.walk(tree))
    rays = {
        a.asname or a.name for n in nodes if isinstance(n, ast.Import) for a in n.names if a.name == "ray"
    }
    faults = []
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr == "remote" and ast.unparse(node.value) in rays:
            faults.append(f"{node.lineno}: ray.remote belongs in jobs.tasks")
        if isinstance(node, ast.ImportFrom) and node.module == "ray":
            faults += [
                f"{node.lineno}: ray.remote belongs in jobs.tasks" for a in node.names if a.name == "remote"
            ]
    return faults


def size_faults(source: str, tree: ast.Module) -> list[str]:
    """Return one line for a module or a function that is too long; a signature is not counted."""
    faults = []
    if (num_lines := len(source.splitlines())) > MAX_MODULE_LINES:
        faults.append(f"1: module of {num_lines} lines, at most {MAX_MODULE_LINES}")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            num_lines = node.end_lineno - node.body[0].lineno + 1
            if num_lines > MAX_FUNCTION_LINES:
                faults.append(
                    f"{node.lineno}: {node.name} of {num_lines} lines, at most {MAX_FUNCTION_LINES}"
                )
    return faults


def faults_of(module: str, source: str) -> list[str]:
    """Return every fault of a module's source, one line each."""
    tree = ast.parse(source)
    return import_faults(module, tree) + remote_faults(module, tree) + size_faults(source, tree)


def module_files() -> dict[str, Path]:
    """Return {dotted name: file} of every module of the two packages."""
    files = {}
    for path in sorted([*ROOT.glob("jobs/**/*.py"), *ROOT.glob("ganmodel/**/*.py")]):
        parts = path.relative_to(ROOT).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


def test_every_package_is_shipped() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {module for module, path in module_files().items() if path.name == "__init__.py"}
    assert set(pyproject["tool"]["setuptools"]["packages"]) == packages


def test_every_module_has_its_place_and_every_place_its_module() -> None:
    assert len(set(LAYERS)) == len(LAYERS)
    assert set(LAYERS) ^ set(module_files()) == set()


@pytest.mark.parametrize(("module", "path"), [pytest.param(m, p, id=m) for m, p in module_files().items()])
def test_module_imports_only_downwards_and_stays_small(module: str, path: Path) -> None:
    assert module in LAYERS, "a new file takes a line in LAYERS"
    assert faults_of(module, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("jobs.plan", "from jobs.driver import generate", "1: imports up, jobs.driver"),
        ("jobs.plan", "from jobs import driver", "1: imports up, jobs.driver"),
        ("jobs.plan", "import jobs.driver", "1: imports up, jobs.driver"),
        ("jobs.plan", "def f():\n    from jobs.cli import main", "2: imports up, jobs.cli"),
        ("jobs.plan", "if TYPE_CHECKING:\n    import jobs.cli", "2: imports up, jobs.cli"),
        ("jobs.plan", "importlib.import_module('jobs.cli')", "1: imports up, jobs.cli"),
        ("jobs.plan", "importlib.import_module(name)", "1: write out what is imported, got ?"),
        ("jobs.plan", "from .specs import DatasetSpec", "1: write out what is imported, got .specs"),
        ("jobs.plan", "from jobs.helpers import f", "1: jobs.helpers has no place in LAYERS"),
        ("ganmodel.png", "def f():\n    import ray", "2: ganmodel knows nothing of ray"),
        ("ganmodel", "from ganmodel.function import DigitFunction", "1: imports up, ganmodel.function"),
        ("ganmodel", "def f():\n    from ganmodel.sampler import Sampler", "2: imports up, ganmodel.sampler"),
        ("ganmodel.adapters", "import ray", "1: loads ray at import, through ray"),
        ("ganmodel.png", "from jobs.specs import TrainSpec", "1: ganmodel knows nothing of jobs"),
        ("ganmodel.data", "import tensorflow as tf", "1: loads tensorflow at import, through tensorflow"),
        ("ganmodel.data", "from keras import datasets", "1: loads keras at import, through keras"),
        (
            "ganmodel.data",
            "try:\n    import keras\nexcept ImportError:\n    pass",
            "2: loads keras at import",
        ),
        (
            "ganmodel.trainer",
            "import ganmodel.steps",
            "1: loads tensorflow at import, through ganmodel.steps",
        ),
        (
            "jobs.driver",
            "from ray.exceptions import RayError",
            "1: loads ray at import, through ray.exceptions",
        ),
        ("jobs.driver", "from jobs.tasks import TrainWorker", "1: loads ray at import, through jobs.tasks"),
        ("jobs.driver", "def f():\n    import ray\n    ray.remote(f)", "3: ray.remote belongs in jobs.tasks"),
        (
            "jobs.driver",
            "def f():\n    import ray as r\n    @r.remote(num_cpus=1)\n    def g(): ...",
            "3: ray.remote",
        ),
        ("jobs.driver", "def f():\n    from ray import remote", "2: ray.remote belongs in jobs.tasks"),
        ("jobs.plan", "x = 1\n" * 301, "1: module of 301 lines, at most 300"),
        ("jobs.plan", "def f():\n" + "    x = 1\n" * 61, "1: f of 61 lines, at most 60"),
    ],
)
def test_fault_is_caught(module: str, source: str, fault: str) -> None:
    assert any(found.startswith(fault) for found in faults_of(module, source)), faults_of(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("jobs.driver", "from jobs.plan import Plan\nfrom ganmodel import __version__"),
        ("jobs.driver", "def f():\n    import ray\n    from jobs.tasks import GenerateWorker"),
        ("jobs.driver", "if TYPE_CHECKING:\n    from ganmodel.networks import Any"),
        ("jobs.tasks", "import ray\n@ray.remote(max_restarts=0)\nclass Worker: ..."),
        ("ganmodel.steps", "import tensorflow as tf\nimport keras"),
        ("ganmodel.adapters", "def f():\n    import ray"),
        ("jobs.plan", "x = 1\n" * 300),
        ("jobs.plan", "def f():\n" + "    x = 1\n" * 60),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert faults_of(module, source) == []
