"""What a submitted job runs: `python -m jobs.entrypoint KIND SPEC [VERSIONS]`, the last two base64url of JSON.

Nothing that the cluster may lack is imported before `jobs.preflight` has looked for it.
"""

from __future__ import annotations

import base64
import sys

from ganmodel.errors import GangenError, Interrupted
from jobs.leaving import leave
from jobs.local import interrupt_on_sigterm, surrounding_ray
from jobs.preflight import check_here


def _generate(text: str) -> None:
    from jobs.driver import generate
    from jobs.render import dataset_facts, dataset_text
    from jobs.specs import GenerateSpec

    spec = GenerateSpec.model_validate_json(text)
    _say(dataset_text(dataset_facts(generate(spec, surrounding_ray), spec.out)))


def _train(text: str) -> None:
    from jobs.render import training_text
    from jobs.specs import TrainSpec
    from jobs.training import train

    spec = TrainSpec.model_validate_json(text)
    _say(training_text({**train(spec, surrounding_ray), "model_dir": spec.model_dir}))


def _evaluate(text: str) -> None:
    from jobs.evaluation import evaluate
    from jobs.findings import to_line
    from jobs.specs import EvaluateSpec

    _say(to_line(evaluate(EvaluateSpec.model_validate_json(text), surrounding_ray)))


def _train_extractors(text: str) -> None:
    from jobs.evaluation import train_extractors
    from jobs.render_evaluation import extractors_text
    from jobs.specs import ExtractorsSpec

    spec = ExtractorsSpec.model_validate_json(text)
    _say(extractors_text(train_extractors(spec, surrounding_ray), spec))


_RUN = {
    "generate": _generate,
    "train": _train,
    "evaluate": _evaluate,
    "train-extractors": _train_extractors,
}


def main(arguments: list[str]) -> int:
    """Run a job on the cluster around us; return the exit code."""
    interrupt_on_sigterm()
    kind, spec, *versions = arguments
    try:
        if note := check_here(_decode(versions[0]) if versions else "{}"):
            _say(f"warning: {note}")
        _RUN[kind](_decode(spec))
    except GangenError as err:
        _say(f"error: {err}")
        return err.exit_code
    except KeyboardInterrupt:
        _say("error: interrupted; the same command continues")
        return Interrupted.exit_code
    return 0


def _decode(argument: str) -> str:
    return base64.urlsafe_b64decode(argument).decode()


def _say(text: str) -> None:
    # Not `jobs.progress.say`: that needs a package the cluster may lack.
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
