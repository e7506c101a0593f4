"""The training core, compared with a plain implementation and with itself under other circumstances."""

from __future__ import annotations

import dataclasses
import math

import naive
import numpy as np
import pytest
import small
import torch
from small import CPU, RECIPE, SPEC, STREAM, family_of, numbers, run

from transferlib import train
from transferlib.errors import TransferlibError
from transferlib.execution import Execution
from transferlib.nets import outline
from transferlib.store import Store
from transferlib.train import Half, Recipe, cut_batch, draw_epoch, fresh_network, to_input

FROZEN = " ".join(f"A{n}B" for n in range(1, 8))
TUNED = "A2B+ A7B+"


def layer_state(state, k):
    return {name: t for name, t in state.items() if name.startswith(f"layers.{k - 1}.")}


def equal_bytes(a, b):
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and a[name].numpy().tobytes() == b[name].numpy().tobytes() for name in a
    )


# --- frozen and trained layers ---


@pytest.mark.parametrize("names", ["A1B", "A3B", "A5B", "A7B", FROZEN])
def test_frozen_layers_keep_every_byte_of_the_source_and_all_others_move(spec, names):
    before = small.copies(small.source_of(spec))
    family = family_of(names, spec)
    fresh = small.copies(fresh_network(spec, 3, STREAM, CPU.device))
    run(family)
    assert equal_bytes(small.copies(family.prefix), before)
    for member in family.members:
        after = small.copies(member.net)
        for k in range(1, 9):
            if k <= member.frozen:
                assert equal_bytes(layer_state(after, k), layer_state(before, k))
            else:
                assert not any(torch.equal(t, fresh[name]) for name, t in layer_state(after, k).items())


@pytest.mark.parametrize("name", ["A1B+", "A7B+"])
def test_fine_tuning_starts_from_the_source_and_moves_every_layer_but_not_the_source(spec, name):
    family = family_of(name, spec)
    n, net = family.members[0].treatment.n, family.members[0].net
    source, start = small.copies(small.source_of(spec)), small.copies(net)
    fresh = small.copies(fresh_network(spec, 3, STREAM, CPU.device))
    for k in range(1, 9):
        assert equal_bytes(layer_state(start, k), layer_state(source if k <= n else fresh, k))
    run(family)
    for name, tensor in net.state_dict().items():
        assert not torch.equal(tensor, start[name]), name


def test_fine_tuned_layers_are_copies_not_the_source_itself(spec):
    source = small.source_of(spec)
    before = small.copies(source)
    net = train.graft(train.Treatment("AnB", 3, True), source, fresh_network(spec, 3, STREAM, CPU.device))
    for p in net.parameters():
        p.data.add_(1.0)
    assert equal_bytes(small.copies(source), before)


def test_a_base_moves_every_layer(spec):
    family = family_of("base", spec)
    before = small.copies(family.members[0].net)
    run(family)
    for name, tensor in family.members[0].net.state_dict().items():
        assert not torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("n", [6, 7])
def test_dropout_behind_a_frozen_layer_acts_in_training_and_not_in_evaluation(n):
    family = family_of(f"B{n}B", SPEC)
    member, seen = family.members[0], []
    forward = member.run_tail

    def record(x, **how):
        seen.append(x.clone())
        return forward(x, **how)

    member.run_tail = record
    family.train_step()
    images, _ = family._batch(0, 0)
    mask = naive.masks(STREAM, 0, 0, RECIPE.dropout, 8)
    expected = images
    for k in range(1, n + 1):
        expected = family.prefix.layer(k)(expected)
        expected = expected * mask[k] if k in mask else expected
    assert torch.equal(seen[0], expected)
    assert (mask[n] == 0).any()
    seen.clear()
    family.evaluate()
    (centre, _), *_ = train.centre_batches(family.val, SPEC, CPU.device, 500)
    assert torch.equal(seen[0], family.prefix(centre, stop=n))


# --- the same numbers whoever trains a run ---


@pytest.mark.parametrize("names", [FROZEN, TUNED])
def test_a_run_alone_gives_the_numbers_that_it_gives_in_its_family(spec, names):
    together = numbers(run(family_of(names, spec)))
    alone = {}
    for name in names.split():
        alone |= numbers(run(family_of(name, spec)))
    assert alone == together
    assert len({str(result) for result in alone.values()}) == len(alone)


@pytest.mark.parametrize("stop", [1, 3, 4])  # 3 is the end of an epoch
@pytest.mark.parametrize("names", ["A2B A6B", TUNED, "base"])
def test_a_run_stopped_and_restored_from_disk_gives_the_same_numbers(spec, names, stop, tmp_path):
    store = Store(tmp_path)
    store.put_checkpoint("0" * 16, *run(family_of(names, spec), stop).state())
    family = family_of(names, spec)
    family.restore(*store.get_checkpoint("0" * 16))
    assert family.done_steps == stop
    assert numbers(run(family)) == numbers(run(family_of(names, spec)))


def test_a_run_restored_from_memory_gives_the_same_numbers(spec):
    tensors, rest = run(family_of("A2B A6B", spec), 4).state()
    family = family_of("A2B A6B", spec)
    family.restore(tensors, rest)
    assert numbers(run(family)) == numbers(run(family_of("A2B A6B", spec)))


def test_a_state_holds_no_frozen_layer():
    tensors, _ = run(family_of("A3B A7B", SPEC), 1).state()
    below = [name for name in tensors if name.startswith(("0.net.layers.2", "1.net.layers.6"))]
    assert not below
    assert "0.net.layers.3.conv.weight" in tensors and "1.net.layers.7.fc.bias" in tensors


def test_another_family_between_the_steps_changes_nothing(spec):
    one, two = family_of("A2B A6B", spec), family_of(TUNED, spec, stream=(1, "random:0", "B", "transfer"))
    other = two.run()
    for _ in one.run():
        next(other, None)
        torch.manual_seed(5)
        torch.rand(7)
    assert numbers(one) == numbers(run(family_of("A2B A6B", spec)))


def test_training_leaves_the_global_generator_alone(spec):
    before = torch.get_rng_state()
    run(family_of("A2B", spec))
    assert torch.equal(before, torch.get_rng_state())


def test_another_stream_gives_other_numbers():
    one, two = (run(family_of("A2B", SPEC, stream=(seed, "x"))) for seed in (0, 1))
    assert one.members[0].curve != two.members[0].curve


# --- compared with the plain implementation ---


@pytest.mark.parametrize("side", [8, 11])
@pytest.mark.parametrize("name", ["base", "A1B", "A3B", "A5B", "A6B", "A7B", "A4B+"])
def test_gradients_and_steps_equal_a_plain_network_with_a_frozen_prefix(alexnet, name, side):
    family = family_of(name, alexnet, side=side)
    member = family.members[0]
    plain = naive.network(alexnet.batch_norm, 3, small.copies(member.net))
    losses, gradients = naive.train(plain, member.frozen, family.train, RECIPE, STREAM, 8, steps=6)

    names = [name for name, _ in member.net.named_parameters()]
    plain_names = [name for name, _ in plain.named_parameters()]
    optimizer, start = member.optimizer, small.copies(member.net)
    once = naive.network(alexnet.batch_norm, 3, small.copies(member.net))
    naive.train(once, member.frozen, family.train, RECIPE, STREAM, 8, steps=1)
    run(family, 1)
    for ours, theirs in zip(member.net.state_dict().values(), once.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(names, plain_names, strict=True):
        p = member.net.get_parameter(ours)
        assert (theirs in gradients) == (p in optimizer.state)
        if theirs in gradients:  # the first momentum is the gradient and the weight's decay
            decay = RECIPE.weight_decay * start[ours] if p.ndim > 1 else 0.0
            found = optimizer.state[p]["momentum_buffer"] - decay
            torch.testing.assert_close(found, gradients[theirs], rtol=1e-3, atol=1e-5)

    run(family)
    # batch norm of six images magnifies the last bit, more on some versions of torch than on others
    close = {"rtol": 1e-2, "atol": 5e-3} if alexnet.batch_norm else {"rtol": 1e-4, "atol": 1e-5}
    for ours, theirs in zip(member.net.state_dict().values(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, **close)
    train_losses = [sum(losses[:3]) / 3, sum(losses[3:]) / 3]
    assert [p.train_loss for p in member.curve] == pytest.approx(train_losses, rel=close["rtol"])
    loss, correct = naive.evaluate(plain, family.val, 8)
    assert member.curve[-1].loss == pytest.approx(loss, rel=close["rtol"])
    differing = sum(ours != theirs for ours, theirs in zip(member.correct.tolist(), correct, strict=True))
    assert differing <= (1 if alexnet.batch_norm else 0)


@pytest.mark.parametrize("side", [8, 11])
@pytest.mark.parametrize("batch", [500, 10, 9])  # 27 images: the last batch is partial, or full
def test_evaluation_equals_one_image_at_a_time(alexnet, side, batch):
    family = run(family_of("A2B A7B", alexnet, side=side), 4)
    before = [small.copies(member.net) for member in family.members]
    for member, state, (loss, correct) in zip(family.members, before, family.evaluate(batch), strict=True):
        plain = naive.network(alexnet.batch_norm, 3, state)
        expected, bits = naive.evaluate(plain, family.val, 8)
        assert loss == pytest.approx(expected, rel=1e-5)
        assert correct.tolist() == bits
        assert equal_bytes(small.copies(member.net), state)  # batch norm learnt nothing
        assert [layer.training for layer in member.net.layers] == [k > member.frozen for k in range(1, 9)]


def test_training_learns_what_can_be_learnt():
    recipe = dataclasses.replace(RECIPE, epochs=20, dropout=0.0, learning_rate=0.02)
    curve = run(family_of("base", SPEC, recipe)).members[0].curve
    assert [point.epoch for point in curve] == list(range(1, 21))
    assert curve[-1].train_loss < 0.6 * curve[0].train_loss
    assert curve[-1].top1 > 0.6


# --- images ---


def tensors(*lists):
    return [torch.tensor(values) for values in lists]


@pytest.mark.parametrize("height, width", [(8, 8), (9, 12), (12, 9)])
def test_crops_equal_slices_of_mirrored_images(height, width):
    draw = np.random.default_rng(3)
    pixels = draw.integers(0, 256, (10, height, width, 3)).astype(np.uint8)
    rows = [7, 2, 2, 9, 0, 5]
    half = Half(torch.from_numpy(pixels), torch.tensor(rows), torch.zeros(6, dtype=torch.int64), 2)
    which, top, left, mirror = [], [], [], []
    for _ in range(200):
        which.append(int(draw.integers(0, 6)))
        top.append(int(draw.integers(-7, height - 8 + 8)))
        left.append(int(draw.integers(-7, width - 8 + 8)))
        mirror.append(bool(draw.integers(0, 2)))
    found = cut_batch(half, *tensors(which, top, left, mirror), side=8).numpy()
    assert found.dtype == np.uint8
    for i, image in enumerate(found):
        assert np.array_equal(image, naive.crop(pixels[rows[which[i]]], top[i], left[i], mirror[i], 8)), i


def test_input_is_centred_and_scaled_channel_by_channel():
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8))
    found = to_input(pixels, SPEC, CPU.device)
    assert found.shape == (3, 3, 8, 8) and found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    expected = torch.stack([naive.as_input(image) for image in pixels.numpy()])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_an_epoch_draws_each_image_once_and_every_crop():
    d = draw_epoch(STREAM, 0, 5000, (-2, 5), CPU.device)
    assert sorted(d.order.tolist()) == list(range(5000))
    assert set(d.top.tolist()) == set(d.left.tolist()) == set(range(-2, 6))
    assert 0.45 < d.mirror.float().mean() < 0.55
    assert not torch.equal(d.top, d.left)
    again, later = (draw_epoch(STREAM, epoch, 5000, (-2, 5), CPU.device) for epoch in (0, 1))
    for name in ("order", "top", "left", "mirror"):
        assert torch.equal(getattr(d, name), getattr(again, name))
        assert not torch.equal(getattr(d, name), getattr(later, name))


def test_an_epoch_is_its_full_batches_and_a_small_half_is_one_batch():
    family = family_of("base", SPEC)
    assert (family.batch_size, family.steps_per_epoch, family.total_steps) == (8, 3, 6)
    assert list(family.run()) == [1, 2, 3, 4, 5, 6]
    few = family_of("base", SPEC, dataclasses.replace(RECIPE, batch_size=100))
    assert (few.batch_size, few.steps_per_epoch) == (27, 1)


def test_dropout_masks_differ_by_layer_step_and_epoch_and_keep_the_mean():
    def masks(epoch, step, p=0.25):
        return train.dropout_masks(STREAM, epoch, step, p, 400, outline(SPEC, 3), CPU)

    first = masks(0, 0)
    for k, width in ((6, 12), (7, 10)):
        assert first[k].shape == (400, width)
        assert first[k].unique().tolist() == pytest.approx([0.0, 4 / 3])
        assert float(first[k].mean()) == pytest.approx(1.0, abs=0.05)
        assert not torch.equal(first[k], masks(0, 1)[k]) and not torch.equal(first[k], masks(1, 0)[k])
    assert not torch.equal(first[6].flatten()[:4000], first[7].flatten())
    assert all((mask == 1).all() for mask in masks(0, 0, p=0.0).values())


# --- the recipe ---


def test_the_rate_warms_up_and_falls_linearly_to_zero():
    recipe = Recipe(epochs=10, learning_rate=0.8, warmup_epochs=2)
    for epoch, expected in ((0.5, 0.2), (1, 0.4), (2, 0.8), (4, 0.6), (6, 0.4), (9, 0.1), (10, 0)):
        assert recipe.rate(epoch) == pytest.approx(expected)


def test_the_rate_without_warm_up_falls_from_the_start():
    recipe = Recipe(epochs=4, learning_rate=1.0, warmup_epochs=0)
    assert [recipe.rate(epoch) for epoch in (0, 1, 4)] == pytest.approx([1.0, 0.75, 0.0])


def test_the_rate_is_divided_by_ten_in_steps():
    recipe = Recipe(epochs=9, learning_rate=0.5, schedule="step", step_epochs=3, warmup_epochs=1)
    for epoch, expected in ((0.5, 0.25), (1, 0.5), (2.99, 0.5), (3, 0.05), (5.9, 0.05), (6, 0.005)):
        assert recipe.rate(epoch) == pytest.approx(expected)


def test_a_training_that_is_broken_off_is_the_beginning_of_the_whole_one(spec):
    whole = run(family_of("A2B", spec, recipe=dataclasses.replace(RECIPE, epochs=3)))
    begun = run(family_of("A2B", spec, recipe=dataclasses.replace(RECIPE, epochs=3, until=2)))
    assert begun.members[0].curve == whole.members[0].curve[:2] and len(whole.members[0].curve) == 3


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"epochs": 0}, "at least 1 epoch"),
        ({"batch_size": 0}, "1 image a batch"),
        ({"dropout": 1.0}, "below 1, got 1.0"),
        ({"dropout": -0.1}, "got -0.1"),
        ({"until": 2}, "until among the 1 epochs, got 2"),
        ({"until": 0}, "until among the 1 epochs, got 0"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(TransferlibError, match=message):
        Recipe(**({"epochs": 1} | wrong))


# --- runs that come to nothing ---


def poisoned(names, spec, which):
    family = family_of(names, spec)
    with torch.no_grad():
        family.members[which].net.layers[7].fc.weight.fill_(3e38)
    return family


def test_a_run_that_diverges_is_marked_and_dropped_and_leaves_the_others_alone(spec):
    family = poisoned("A2B A4B A6B", spec, 1)
    assert list(family.run()) == [1, 2, 3, 4, 5, 6]
    good, bad = numbers(family), family.members[1]
    assert bad.diverged and len(bad.curve) == 1
    assert not math.isfinite(bad.curve[0].train_loss)
    assert family.active == [family.members[0], family.members[2]]
    del good["A4B"]
    assert good == numbers(run(family_of("A2B A6B", spec)))


def test_the_deepest_run_of_a_family_may_diverge():
    family = run(poisoned("A2B A6B", SPEC, 1))
    assert family.members[1].diverged
    assert numbers(family)["A2B"] == numbers(run(family_of("A2B", SPEC)))["A2B"]


def test_a_family_stops_when_an_absurd_rate_has_made_every_run_diverge():
    recipe = dataclasses.replace(RECIPE, epochs=5, learning_rate=1e25)
    family = family_of("A2B A6B", SPEC, recipe)
    assert list(family.run()) == [1, 2, 3]
    assert all(member.diverged for member in family.members)
    assert family.active == []
    assert list(family.run()) == []


def test_a_diverged_run_stays_so_after_a_restore(tmp_path):
    store = Store(tmp_path)
    store.put_checkpoint("0" * 16, *run(poisoned("A2B A4B", SPEC, 0), 4).state())
    family = family_of("A2B A4B", SPEC)
    family.restore(*store.get_checkpoint("0" * 16))
    assert [member.diverged for member in family.members] == [True, False]
    assert numbers(run(family))["A4B"] == numbers(run(family_of("A4B", SPEC)))["A4B"]


# --- number formats ---


def test_bfloat16_gives_close_numbers():
    exact = run(family_of("A2B A6B", SPEC))
    rough = run(family_of("A2B A6B", SPEC, execution=Execution(CPU.device, torch.bfloat16)))
    for a, b in zip(exact.members, rough.members, strict=True):
        assert a.curve[-1].loss == pytest.approx(b.curve[-1].loss, rel=0.05)
        assert a.curve != b.curve  # it was rounded
        assert not b.scaler.is_enabled()
        assert all(t.dtype == torch.float32 for t in b.net.parameters())


def test_float16_scales_its_gradients_and_gives_close_numbers():
    exact = run(family_of("A2B A6B", SPEC))
    rough = family_of("A2B A6B", SPEC, execution=Execution(CPU.device, torch.float16))
    for member in rough.members:  # a scale that overflows at no step, so that none is skipped
        member.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8, enabled=member.scaler.is_enabled())
    run(rough)
    for a, b in zip(exact.members, rough.members, strict=True):
        assert b.scaler.is_enabled()
        assert a.curve[-1].loss == pytest.approx(b.curve[-1].loss, rel=0.05)
        for p, q in zip(a.trained, b.trained, strict=True):
            torch.testing.assert_close(p, q, rtol=0.05, atol=0.02)


def test_float16_is_not_harmed_by_a_first_step_that_is_skipped():
    # torch's fused SGD leaves momentum uninitialised where the very first step is skipped
    family = family_of("A2B", SPEC, execution=Execution(CPU.device, torch.float16))
    member = family.members[0]
    member.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    run(family, 1)
    for p in member.trained:
        momentum = member.optimizer.state.get(p, {}).get("momentum_buffer")
        assert momentum is None or (momentum == 0).all()


def test_float16_skips_a_step_whose_gradients_overflow_and_lowers_the_scale():
    half = Execution(CPU.device, torch.float16)
    family = family_of("A2B A6B", SPEC, execution=half)
    first, second = family.members
    first.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    before, second_before = small.copies(first.net), small.copies(second.net)
    run(family, 1)
    assert equal_bytes(small.copies(first.net), before)
    assert first.scaler.get_scale() == 2.0**119
    assert not equal_bytes(small.copies(second.net), second_before)


def test_a_float16_run_restored_takes_up_its_scale(tmp_path):
    half, store = Execution(CPU.device, torch.float16), Store(tmp_path)
    family = family_of("A2B A6B", SPEC, execution=half)
    run(family, 2).members[0].scaler.update(2.0**9)
    store.put_checkpoint("0" * 16, *family.state())
    expected = run(family)
    family = family_of("A2B A6B", SPEC, execution=half)
    family.restore(*store.get_checkpoint("0" * 16))
    assert family.members[0].scaler.get_scale() == 2.0**9
    assert numbers(run(family)) == numbers(expected)


def test_weight_decay_leaves_biases_norms_gains_and_positions_alone(spec):
    family = family_of("base", spec)
    names = {id(p): name for name, p in family.members[0].net.named_parameters()}
    decayed, left = ({names[id(p)] for p in group["params"]} for group in family.members[0].optimizer.param_groups)
    assert decayed | left == set(names.values()) and not decayed & left
    assert all(name.endswith(".weight") for name in decayed)
    alone = ("bias", ".bn.weight", ".bn2.weight", ".norm.weight", "positions")
    assert {name for name in names.values() if name.endswith(alone)} <= left
    assert all(family.members[0].net.get_parameter(name).numel() == 1 for name in left if not name.endswith(alone))
