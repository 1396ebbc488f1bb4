"""What a submitted job runs: `python -m jobs.entrypoint KIND SPEC`, SPEC being base64 of a spec's JSON."""

from __future__ import annotations

import base64
import sys

from ganmodel.errors import GangenError, Interrupted
from jobs.local import interrupt_on_sigterm, surrounding_ray
from jobs.progress import say
from jobs.specs import EvaluateSpec, ExtractorsSpec, GenerateSpec, TrainSpec


def _generate(text: str) -> None:
    from jobs.driver import generate
    from jobs.render import dataset_facts, dataset_text

    spec = GenerateSpec.model_validate_json(text)
    say(dataset_text(dataset_facts(generate(spec, surrounding_ray), spec.out)))


def _train(text: str) -> None:
    from jobs.render import training_text
    from jobs.training import train

    spec = TrainSpec.model_validate_json(text)
    say(training_text({**train(spec, surrounding_ray), "model_dir": spec.model_dir}))


def _evaluate(text: str) -> None:
    from jobs.evaluation import evaluate
    from jobs.findings import to_line

    say(to_line(evaluate(EvaluateSpec.model_validate_json(text), surrounding_ray)))


def _train_extractors(text: str) -> None:
    from jobs.evaluation import train_extractors
    from jobs.render_evaluation import extractors_text

    spec = ExtractorsSpec.model_validate_json(text)
    say(extractors_text(train_extractors(spec, surrounding_ray), spec))


_RUN = {
    "generate": _generate,
    "train": _train,
    "evaluate": _evaluate,
    "train-extractors": _train_extractors,
}


def main(arguments: list[str]) -> int:
    """Run a job on the cluster around us; return the exit code."""
    interrupt_on_sigterm()
    kind, encoded = arguments
    try:
        _RUN[kind](base64.urlsafe_b64decode(encoded).decode())
    except GangenError as err:
        say(f"error: {err}")
        return err.exit_code
    except KeyboardInterrupt:
        say("error: interrupted; the same command continues")
        return Interrupted.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
