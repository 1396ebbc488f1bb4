"""Configurations as values, the presets, and the choice of precision."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ganmodel.config import (
    DiscriminatorConfig,
    GeneratorConfig,
    TrainConfig,
    TutorialDiscriminatorConfig,
    TutorialGeneratorConfig,
    first_problem,
    json_digest,
)
from ganmodel.device import choose_precision, cpu_flags
from ganmodel.errors import SpecError
from ganmodel.presets import PRESETS, find_preset

BASELINE = {
    "generator": TutorialGeneratorConfig(kind="tutorial", label_dim=3),
    "discriminator": TutorialDiscriminatorConfig(kind="tutorial", dropout=0.1),
}


@pytest.mark.parametrize("networks", [{}, BASELINE], ids=["ours", "baseline"])
def test_a_configuration_reads_back_from_its_json_with_the_same_digest(tiny_config, networks):
    config = tiny_config(gamma=0.1, seed=2**31 - 1, **networks)
    back = TrainConfig.model_validate_json(json.dumps(config.model_dump(mode="json")))
    assert back == config
    assert back.content_digest() == config.content_digest()


def test_a_configuration_written_before_there_were_choices_means_what_was_done_then(tiny_config):
    values = tiny_config().model_dump(mode="json")
    for name in ("loss", "adam_betas", "joint", "limit"):
        del values[name]
    assert TrainConfig.model_validate_json(json.dumps(values)) == tiny_config()


def test_a_digest_of_json_never_changes():
    """Plans and models are known by such digests."""
    assert json_digest({"b": [1, 0.5], "a": "\u00e9"}) == (
        "4e13b0ea3305389f9b66370702b20322c2e10ebd57304ffa5b472d1d636bee59"
    )


@given(value=st.dictionaries(st.text("ab\u00e9"), st.integers(), min_size=2))
def test_a_digest_does_not_depend_on_the_order_of_keys(value):
    assert json_digest(dict(reversed(value.items()))) == json_digest(value)


CHANGES = [
    ("steps", {"steps": 5}, "steps: 4 -> 5"),
    ("learning_rate", {"learning_rate": 0.01}, "learning_rate: 0.001 -> 0.01"),
    ("precision", {"precision": "mixed_bfloat16"}, "precision: float32 -> mixed_bfloat16"),
    ("generator", {"generator": GeneratorConfig(latent_dim=3)}, "generator.latent_dim: 16 -> 3"),
    (
        "discriminator",
        {
            "discriminator": DiscriminatorConfig(
                channels=(8, 16, 33), blocks_14=0, blocks_7=0, hidden_units=32
            )
        },
        "discriminator.channels: [8, 16, 32] -> [8, 16, 33]",
    ),
    ("kind", {"generator": BASELINE["generator"]}, "generator: of another kind"),
    ("loss", {"loss": "cross_entropy"}, "loss: relativistic -> cross_entropy"),
    ("adam_betas", {"adam_betas": (0.9, 0.999)}, "adam_betas: [0.0, 0.99] -> [0.9, 0.999]"),
    ("joint", {"joint": True}, "joint: False -> True"),
    ("limit", {"limit": 500}, "limit: None -> 500"),
]


@pytest.mark.parametrize(("field", "change", "phrase"), CHANGES, ids=[c[0] for c in CHANGES])
def test_a_difference_names_its_field_and_both_values(tiny_config, field, change, phrase):
    config, other = tiny_config(), tiny_config(**change)
    assert phrase in config.differences(other)
    assert config.content_digest() != other.content_digest()


def test_equal_configurations_differ_in_nothing(tiny_config):
    assert tiny_config().differences(tiny_config()) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", 1.5),
        ("learning_rate", float("nan")),
        ("gamma", -1.0),
        ("gamma", float("inf")),
        ("ema_decay", 1.0),
        ("decay_start", 1.1),
        ("seed", -1),
        ("seed", 2**31),
        ("precision", "float16"),
        ("momentum", 0.9),
        ("loss", "hinge"),
        ("adam_betas", (0.9, 1.0)),
    ],
)
def test_a_value_out_of_range_or_an_unknown_field_is_refused_by_name(tiny_config, field, value):
    with pytest.raises(ValidationError) as err:
        tiny_config(**{field: value})
    assert first_problem(err.value).startswith((f"{field}: ", f"{field}.1: "))
    assert "\n" not in first_problem(err.value)


@pytest.mark.parametrize(
    ("generator", "problem"),
    [
        ({"latent_dim": -1}, "generator.latent_dim: Input should be greater"),
        ({"kind": "tutorial", "latent_dim": -1}, "generator.latent_dim: Input should be greater"),
        ({"kind": "tutorial", "blocks_7": 1}, "generator.blocks_7: Extra inputs"),
        ({"kind": "other"}, "generator.kind: Input should be 'tutorial'"),
        (3, "generator: Input should be"),
    ],
)
def test_a_wrong_shape_is_refused_by_the_name_of_its_field_alone(tiny_config, generator, problem):
    with pytest.raises(ValidationError) as err:
        tiny_config(generator=generator)
    assert first_problem(err.value).startswith(problem)


def test_a_configuration_cannot_be_changed(tiny_config):
    with pytest.raises(ValidationError, match="frozen"):
        tiny_config().steps = 5


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_makes_a_valid_run_and_its_summary_tells_its_true_cost(tiny_config, name):
    preset = find_preset(name)
    tiny_config(
        preset=name,
        batch_size=preset.batch_size,
        learning_rate=preset.learning_rate,
        gamma=preset.gamma,
        **preset.recipe(),
    )
    millions = preset.generator.multiply_adds() / 1e6
    said = preset.summary.partition("M multiply-adds")[0]
    assert said == f"{millions:.{len(said.partition('.')[2])}f}"


def test_an_unknown_preset_is_refused_and_the_known_ones_are_named():
    with pytest.raises(SpecError, match=r"^--preset: there is no 'huge'; choose fast, best, tiny, tutorial$"):
        find_preset("huge")


@pytest.mark.parametrize(
    ("has_gpu", "flags", "precision"),
    [
        (False, set(), "float32"),
        (False, {"avx2", "avx512f"}, "float32"),
        (False, {"avx512f", "avx512_bf16"}, "mixed_bfloat16"),
        (False, {"amx_bf16", "amx_tile"}, "mixed_bfloat16"),
        (True, set(), "mixed_bfloat16"),
    ],
)
def test_bfloat16_is_chosen_where_the_device_multiplies_it(has_gpu, flags, precision):
    assert choose_precision(has_gpu=has_gpu, flags=flags) == precision


def test_flags_of_this_cpu_are_single_words():
    assert all(flag and " " not in flag for flag in cpu_flags())
