"""What a submitted job runs: `python -m jobs.entrypoint KIND SPEC`, SPEC being base64 of a spec's JSON."""

from __future__ import annotations

import base64
import sys

from ganmodel.errors import GangenError, Interrupted
from jobs.specs import GenerateSpec, TrainSpec


def main(arguments: list[str]) -> int:
    """Run a job on the cluster around us; return the exit code."""
    from jobs.local import interrupt_on_sigterm, surrounding_ray
    from jobs.progress import say

    interrupt_on_sigterm()
    kind, encoded = arguments
    text = base64.urlsafe_b64decode(encoded)
    try:
        if kind == "generate":
            from jobs.driver import generate
            from jobs.render import dataset_facts, dataset_text

            spec = GenerateSpec.model_validate_json(text)
            say(dataset_text(dataset_facts(generate(spec, surrounding_ray), spec.out)))
        else:
            from jobs.render import training_text
            from jobs.training import train

            training = TrainSpec.model_validate_json(text)
            say(training_text({**train(training, surrounding_ray), "model_dir": training.model_dir}))
    except GangenError as err:
        say(f"error: {err}")
        return err.exit_code
    except KeyboardInterrupt:
        say("error: interrupted; the same command continues")
        return Interrupted.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
