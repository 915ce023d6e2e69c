"""The examples: the transformer trains to the loss that it states, with ours in
the place of jax.nn's; greedy decoding with a cache is that without one."""
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

sys.path.append(str(pathlib.Path(__file__).parents[1] / "examples"))
import transformer  # noqa: E402

TEXT = transformer.TEXT.read_text()
MODEL = transformer.Model("".join(sorted(set(TEXT))))
TOKENS = MODEL.encode(TEXT)


def test_training():
    _, losses = transformer.train(MODEL, TOKENS, 60)
    assert np.mean(losses[-10:]) < 2.7, losses
    _, theirs = transformer.train(MODEL, TOKENS, 4, transformer.jax_nn)
    # the same numbers but for roundings, which four steps make no more of
    np.testing.assert_allclose(losses[:4], theirs, rtol=1e-4)


def test_greedy():
    """Each character is the likeliest after all those before it."""
    params, _ = transformer.train(MODEL, TOKENS, 8)
    prompt = jnp.asarray(np.stack([MODEL.encode("First Citizen:"),
                                   MODEL.encode("Before we proc")]))
    made = transformer.generate(MODEL, params, prompt, 20)
    whole = jnp.concatenate([prompt, made], 1)
    chances = jax.jit(transformer.logits, static_argnums=2)(
        params, whole, transformer.ours)[:, prompt.shape[1] - 1:-1]
    chosen = jnp.take_along_axis(chances, made[..., None], -1)[..., 0]
    # equal but for roundings of f32 logits of size about 10
    np.testing.assert_allclose(chosen, chances.max(-1), atol=1e-4)
